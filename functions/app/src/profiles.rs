//! The catalogue.
use crate::answer::List;
use axum::Json;
use serde::Serialize;
use serde_json::Value;
use tandem_core::profile::{PROFILES, Profile};
use utoipa::ToSchema;

/// An integration that can be set up.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProfileView {
    /// For `POST /v1/syncs`.
    id: &'static str,
    /// As people call it.
    name: &'static str,
    /// `contacts`, `calendar`, `files` or `mail`.
    kind: &'static str,
    /// Providers of its CRM side.
    crm: &'static [&'static str],
    /// Providers of its remote side.
    remote: &'static [&'static str],
    /// JSON Schema of its settings, with their defaults.
    #[schema(value_type = Object)]
    settings: Value,
    /// The caps that `limits: vendor` brings.
    #[schema(value_type = Object)]
    vendor_limits: Value,
}

impl From<&Profile> for ProfileView {
    fn from(profile: &Profile) -> Self {
        Self {
            id: profile.id,
            name: profile.name,
            kind: profile.kind,
            crm: profile.crm,
            remote: profile.remote,
            settings: profile.settings_schema(),
            vendor_limits: profile.vendor_limits(),
        }
    }
}

/// What can be kept in step with what, by which rules.
#[utoipa::path(get, path = "/v1/profiles", operation_id = "list_profiles", tag = "profiles", responses((status = 200, body = List<ProfileView>)))]
pub(crate) async fn list() -> Json<List<ProfileView>> {
    Json(List { items: PROFILES.iter().map(ProfileView::from).collect(), next: None })
}
