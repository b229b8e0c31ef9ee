//! Whole worlds for tests: `cargo xtask up` on ports and in folders of their own.
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::config::Credentials;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tandem_aws::AwsClients;

/// How long a world may take to be ready: the first one installs the local AWS.
const STEPS: u32 = 3_000;

/// A world that runs. It ends when this is dropped, or with the test's process.
pub struct World {
    /// `ready.json`.
    pub ready: Value,
    /// Its folder.
    pub dir: PathBuf,
    process: Child,
}

/// `cargo xtask up` with this folder under target/e2e, on free ports.
pub struct Setup {
    dir: PathBuf,
    base: u16,
}

impl Setup {
    /// A folder of this name.
    pub fn named(name: &str) -> Self {
        let dir = target().join("e2e").join(name);
        fs::create_dir_all(&dir).expect("a folder under target");
        Self { dir, base: free_ports() }
    }

    /// The first of its ports.
    pub fn port_base(&self) -> u16 {
        self.base
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let path = |path: &Path| path.display().to_string();
        let base = self.base.to_string();
        let fixed = ["up".to_owned(), "--dir".to_owned(), path(&self.dir), "--port-base".to_owned(), base];
        let tools = ["--tools".to_owned(), path(&target().join("tools"))];
        fixed.into_iter().chain(tools).chain(more.iter().map(|word| (*word).to_owned())).collect()
    }

    /// Runs it to its end.
    pub fn run(&self, more: &[&str]) -> Output {
        Command::new(xtask()).args(self.arguments(more)).stdin(Stdio::null()).output().expect("xtask runs")
    }

    /// Starts it and waits until it is ready.
    pub fn start(&self, more: &[&str]) -> World {
        let ready = self.dir.join("ready.json");
        let log = fs::File::create(self.dir.join("up.log")).expect("a log");
        // Under supervision: it ends with this process, however that ends.
        let mut command = Command::new(xtask());
        command.arg("supervise").arg("--").arg(xtask()).args(self.arguments(more));
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn().expect("xtask starts");
        for _ in 0..STEPS {
            if let Ok(text) = fs::read_to_string(&ready) {
                let ready = serde_json::from_str(&text).expect("ready.json is JSON");
                return World { ready, dir: self.dir.clone(), process };
            }
            assert!(process.try_wait().expect("a status").is_none(), "up has ended: {}", self.log());
            sleep(Duration::from_millis(100));
        }
        panic!("up is not ready: {}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("up.log")).unwrap_or_default()
    }
}

impl World {
    /// Where its API is.
    pub fn api(&self) -> &str {
        self.ready["api_url"].as_str().expect("api_url")
    }

    /// A status and JSON of its API, with a bearer token where there is one.
    pub fn get(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = agent.get(format!("{}{path}", self.api()));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = request.call().expect("an answer");
        let text = answer.body_mut().read_to_string().expect("a text");
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// A status and JSON of its API, asked by the first user.
    pub fn send(&self, method: &str, path: &str, kind: &str, body: String) -> (u16, Value) {
        let settings = ureq::Agent::config_builder().http_status_as_error(false);
        let agent: ureq::Agent = settings.timeout_global(Some(Duration::from_secs(60))).build().into();
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.api()));
        let request = request.header("authorization", format!("Bearer {}", self.token(0)));
        let request = request.header("content-type", kind).body(body).expect("a request");
        let mut answer = agent.run(request).expect("an answer");
        let text = answer.body_mut().read_to_string().expect("a text");
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// The JSON of a request by the first user that must succeed. A GET has no body.
    pub fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let (status, answer) = self.send(method, path, "application/json", body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// The token of a user.
    pub fn token(&self, user: usize) -> &str {
        self.ready["users"][user]["token"].as_str().expect("a token")
    }

    /// Clients of its AWS.
    pub async fn aws(&self) -> AwsClients {
        let endpoint = self.ready["aws_endpoint"].as_str().expect("aws_endpoint");
        let credentials = Credentials::new("test", "test", None, None, "test");
        let loader = aws_config::defaults(BehaviorVersion::latest()).region(Region::new("us-east-1"));
        AwsClients::load(loader.endpoint_url(endpoint).credentials_provider(credentials)).await
    }

    /// What the deployment answered under this name.
    pub fn output(&self, name: &str) -> String {
        let text = fs::read_to_string(self.dir.join("deployed.json")).expect("deployed.json");
        let deployed: Value = serde_json::from_str(&text).expect("JSON");
        let outputs = deployed["outputs"].as_array().expect("outputs");
        let found = outputs.iter().find(|pair| pair[0] == name).unwrap_or_else(|| panic!("no output {name}"));
        found[1].as_str().expect("a text").to_owned()
    }

    /// A provider's simulator, asked behind the service's back: `what` is below its control plane, without a body a GET.
    pub fn simulator(&self, provider: &str, what: &str, order: Option<&Value>) -> Value {
        let origin = self.ready["simulators"][provider].as_str().expect("the simulator's address");
        let address = format!("{origin}/_sim/{provider}/{what}");
        let answer = match order {
            None => ureq::get(address).call(),
            Some(order) => ureq::post(address).header("content-type", "application/json").send(order.to_string()),
        };
        let mut answer = answer.expect("the simulator answers");
        // Ten thousand people are more than the client takes unasked.
        answer.body_mut().with_config().limit(256 << 20).read_json().expect("JSON")
    }

    /// The processes of a function that this world's emulator runs: its programs lie in the world's folder.
    pub fn processes(&self, function: &str) -> Vec<i32> {
        let processes = fs::read_dir("/proc").expect("Linux").flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
        let named = format!("-{function}");
        let is_one = |pid: &i32| {
            let ours = fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program.starts_with(&self.dir));
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let name = |variable: &[u8]| {
                variable.starts_with(b"AWS_LAMBDA_FUNCTION_NAME=") && variable.ends_with(named.as_bytes())
            };
            ours && environment.split(|byte| *byte == 0).any(name)
        };
        pids.filter(is_one).collect()
    }

    /// Ends it as Ctrl-C does, and waits.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.process.stdin.take());
        // A world that has ended by itself has been reaped already.
        let _ended = self.process.wait();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end();
    }
}

/// The most memory that a process has held, in kB; 0 when it has just ended.
pub fn peak_kilobytes(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

/// Kills a process at once, as a machine that fails does.
pub fn kill(pid: i32) {
    let pid = Pid::from_raw(pid).expect("a process id is above zero");
    // One that has just ended by itself needs no more.
    let _gone = kill_process(pid, Signal::KILL);
}

fn target() -> PathBuf {
    let ourselves = std::env::current_exe().expect("our own program");
    // target/debug/deps/<test>
    ourselves.ancestors().nth(3).expect("a test lies three folders below target").to_owned()
}

/// The tool, built by cargo where that is needed.
fn xtask() -> PathBuf {
    static BUILT: std::sync::Once = std::sync::Once::new();
    BUILT.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        // What cargo told this test about itself: with it in the environment `ring`, and all that use it, would be
        // compiled anew.
        for part in ["NAME", "VERSION_MAJOR", "VERSION_MINOR", "VERSION_PATCH", "VERSION_PRE"] {
            cargo.env_remove(format!("CARGO_PKG_{part}"));
        }
        cargo.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_LINKS");
        let built = cargo.args(["build", "--quiet", "--workspace", "--bins"]).status();
        assert!(built.expect("cargo runs").success(), "xtask does not build");
    });
    target().join("debug/xtask")
}

/// The first of ten free ports in a row.
fn free_ports() -> u16 {
    for _ in 0..100 {
        let chosen = TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("its address").port();
        let Some(last) = chosen.checked_add(10) else { continue };
        if (chosen..last).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return chosen;
        }
    }
    panic!("there are no ten free ports in a row");
}
