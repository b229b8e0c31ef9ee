//! The CRM over the table in memory.
mod common;
mod connector;
mod imports;
mod records;
