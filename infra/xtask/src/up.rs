//! `cargo xtask up`: the whole service on this machine.
use crate::api::Api;
use crate::aws::Aws;
use crate::build::{FUNCTIONS, programs};
use crate::deploy::{Deployment, STACK, deploy};
use crate::fault::{Fault, OrFault as _, Result};
use crate::package::package;
use crate::place::{Place, Port, env, write_whole};
use crate::simulators::{self, Simulators};
use crate::stop::Stop;
use crate::supervise::Supervised;
use crate::users::{User, users};
use crate::{Seed, UpOptions, emulator, once, proxy, seed, tools};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A minute for the first answer.
const STEPS: u32 = 1_200;
/// What `--fresh` forgets. The installed tools stay.
const STATE: [&str; 5] = ["emulator", "simulators", "users.json", "deployed.json", "ready.json"];

/// Says on standard error what is done and how long it has taken so far.
#[derive(Clone, Copy)]
struct Progress(Instant);

impl Progress {
    #[expect(clippy::disallowed_methods, reason = "shows people how long a step took; decides nothing")]
    fn begin() -> Self {
        Self(Instant::now())
    }
    fn say(self, line: &str) {
        eprintln!("{:>7.1} s  {line}", self.0.elapsed().as_secs_f32());
    }
}

/// What runs. Dropping it ends everything in order: the note that all is well, the simulators, the local AWS.
struct World {
    ready: Ready,
    simulators: Simulators,
    emulator: Option<Supervised>,
    _lock: File,
}

/// `ready.json`, while everything answers.
struct Ready(PathBuf);

impl Drop for Ready {
    fn drop(&mut self) {
        // It may not have been written yet.
        let _removed = fs::remove_file(&self.0);
    }
}

impl World {
    fn check(&mut self) -> Result<()> {
        let mut children = self.simulators.process.iter_mut().chain(&mut self.emulator);
        children.try_for_each(Supervised::check)
    }
}

pub(crate) fn up(options: &UpOptions) -> Result<ExitCode> {
    let stop = Stop::on_signals()?;
    match run(options, &stop) {
        // Asked to stop: that is no fault once everything was up, and no success before.
        Err(_) if stop.asked() => Ok(ExitCode::from(130)),
        done => done,
    }
}

fn run(options: &UpOptions, stop: &Stop) -> Result<ExitCode> {
    let (progress, place) = (Progress::begin(), Place::new(&options.place)?);
    let say = |line: &str| progress.say(line);
    let lock = lock(&place)?;
    check_ports(&place, options)?;
    if options.fresh {
        forget(&place)?;
    }
    let (mut world, users) = start(options, &place, lock, stop, &say)?;
    let api = Api::new(&place.origin(Port::Web), &users[0].token);
    let syncs = if options.seed == Seed::Demo { seed::seed(&api, &place, &say)? } else { Vec::new() };
    write_ready(&place, &world, options, &users)?;
    if options.seed == Seed::Demo {
        let runs = once::rest(&api, &syncs, stop, &say)?;
        if options.once && options.json {
            println!("{}", once::as_json(&syncs, &runs));
        } else {
            println!("{}", once::as_table(&syncs, &runs));
        }
        if options.once {
            return Ok(if once::all_in_sync(&runs) { ExitCode::SUCCESS } else { ExitCode::from(1) });
        }
    } else if options.once {
        println!("{}", if options.json { once::as_json(&[], &[]).to_string() } else { once::as_table(&[], &[]) });
        return Ok(ExitCode::SUCCESS);
    }
    say("ready");
    println!(
        "The page: {}   (Ctrl-C ends everything; the state stays in {})",
        place.origin(Port::Web),
        place.dir.display()
    );
    while !stop.asked() {
        world.check()?;
        sleep(Duration::from_millis(100));
    }
    say("stopping");
    Ok(ExitCode::SUCCESS)
}

/// Two worlds in one folder would overwrite each other.
fn lock(place: &Place) -> Result<File> {
    let path = place.folder("")?.join("lock");
    let file = File::create(&path).or_fault(|| format!("{} cannot be made", path.display()))?;
    let taken =
        || Fault::new(format!("{} is in use by another `cargo xtask up`; choose another --dir", place.dir.display()));
    file.try_lock().map_err(|_| taken())?;
    Ok(file)
}

fn check_ports(place: &Place, options: &UpOptions) -> Result<()> {
    place.check_free(Port::Web)?;
    if options.aws.is_none() {
        place.check_free(Port::Aws)?;
    }
    simulators::check_ports(place)
}

fn forget(place: &Place) -> Result<()> {
    for name in STATE {
        let path = place.file(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Fault::new(format!("{} cannot be removed: {error}", path.display())));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn start(
    options: &UpOptions,
    place: &Place,
    lock: File,
    stop: &Stop,
    say: &dyn Fn(&str),
) -> Result<(World, Vec<User>)> {
    let emulator_program = match options.aws {
        Some(_) => None,
        None => {
            say("installing the local AWS (once)");
            let folder = options.tools.clone().map_or_else(|| place.folder("tools"), Ok)?;
            Some(tools::emulator(place, &folder, stop)?)
        }
    };
    say("building the functions");
    let built = programs(place, stop)?;
    let packages = FUNCTIONS.into_iter().map(|name| package(name, &built)).collect::<Result<Vec<_>>>()?;
    say("starting the local AWS and the simulators");
    let emulator = emulator_program.map(|program| emulator::start(place, &program, stop)).transpose()?;
    let simulators = simulators::start(place, &built, stop)?;
    let world = World { ready: Ready(place.file("ready.json")), simulators, emulator, _lock: lock };
    let endpoint = endpoint(options, place);
    let aws = Aws::at(&endpoint);
    if !aws.alive() {
        return Err(Fault::new(format!("{endpoint} does not answer as an AWS-compatible endpoint")));
    }
    say("deploying template.yaml");
    let parameters = parameters(place, &aws, &endpoint)?;
    let what = Deployment { packages: &packages, parameters: &parameters };
    let (deployed, anew) = deploy(place, &aws, &what, stop)?;
    if !anew {
        say("nothing has changed since the last deployment");
    }
    let host = endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned();
    proxy::start(place.port(Port::Web), host, format!("/_aws/execute-api/{}/$default", deployed.api_id))?;
    let api_url = place.origin(Port::Web);
    let anonymous = Api::new(&api_url, "none");
    let healthy = stop.poll(STEPS, || {
        let answer = anonymous.send("GET", "/healthz", "application/json", Vec::new());
        Ok(answer.is_ok_and(|(status, _)| status == 200).then_some(()))
    })?;
    healthy
        .ok_or_else(|| Fault::new(format!("the API does not answer; see {}", place.file("emulator.log").display())))?;
    simulators::enter_webhooks(place, &public_url(place), &client("DROPBOX", "CLIENT_SECRET"))?;
    let users = users(place, &aws, &deployed.app, &api_url)?;
    Ok((world, users))
}

fn endpoint(options: &UpOptions, place: &Place) -> String {
    let ours = || place.origin(Port::Aws);
    options.aws.clone().unwrap_or_else(ours).trim_end_matches('/').to_owned()
}

fn public_url(place: &Place) -> String {
    env("TANDEM_PUBLIC_URL").unwrap_or_else(|| place.origin(Port::Web))
}

/// A part of our OAuth client at a provider.
fn client(provider: &str, part: &str) -> String {
    env(&format!("TANDEM_{provider}_{part}")).unwrap_or_else(|| format!("local-{}", part.to_lowercase()))
}

fn parameters(place: &Place, aws: &Aws, endpoint: &str) -> Result<Vec<(String, String)>> {
    let mut clients = Map::new();
    for provider in ["GOOGLE", "DROPBOX", "TEAMLEADER", "ZOHO", "SELL"] {
        for part in ["CLIENT_ID", "CLIENT_SECRET"] {
            clients.insert(format!("TANDEM_{provider}_{part}"), json!(client(provider, part)));
        }
    }
    let secret = aws.put_secret("tandem-local-oauth", &Value::Object(clients))?;
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    let fixed = [
        ("Architecture", architecture.to_owned()),
        ("AwsEndpointUrl", endpoint.to_owned()),
        ("PublicUrl", public_url(place)),
        ("OAuthSecretArn", secret),
        ("GmailPubsubTopic", pubsub("TOPIC", "projects/local/topics/gmail")),
        ("GmailPubsubServiceAccount", pubsub("SERVICE_ACCOUNT", simulators::PUSHES_AS)),
        ("GmailPubsubAudience", pubsub("AUDIENCE", "")),
    ];
    // Every minute: nobody wants to wait for five on their own machine.
    let schedules = ["Contacts", "Calendar", "Files", "Mail"]
        .map(|kind| (format!("{kind}Schedule"), "cron(0/1 * * * ? *)".to_owned()));
    let fixed = fixed.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(schedules);
    Ok(fixed.chain(simulators::parameters(place)).collect())
}

/// What Pub/Sub is to Gmail here, unless the environment says it.
fn pubsub(part: &str, local: &str) -> String {
    env(&format!("TANDEM_GMAIL_PUBSUB_{part}")).unwrap_or_else(|| local.to_owned())
}

fn write_ready(place: &Place, world: &World, options: &UpOptions, users: &[User]) -> Result<()> {
    let ready = json!({
        "api_url": place.origin(Port::Web),
        "web_url": place.origin(Port::Web),
        "aws_endpoint": endpoint(options, place),
        "stack": STACK,
        "users": users,
        "simulators": world.simulators.addresses,
    });
    write_whole(&world.ready.0, &format!("{ready:#}\n"))
}
