//! Life cycle of a node's process: signal handlers, context, node, spinning, and shutdown hooks.

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rclrs::{
    Context, CreateBasicExecutor as _, Executor, InitOptions, IntoNodeOptions as _, LogSeverity, Logger, Node,
    RclrsError, SpinOptions,
};
use tokio::sync::mpsc;

use super::parameters::{Overrides, ParameterError, require_ros_only};
use super::rosout;
use super::signals::Signals;
use crate::child_process;

pub use super::signals::catch_signals;

/// Exit code of a node that refused to start because of an invalid parameter, file or argument. Launch files end the whole
/// launch on it; a node that fails later leaves the others running.
pub const REFUSED: u8 = 2;

/// Error that keeps a node from starting or ends it.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The operating system refused threads or signal handlers.
    #[error("cannot start the node's threads and signal handlers: {0}")]
    Threads(#[from] std::io::Error),
    /// A parameter file cannot be read.
    #[error(transparent)]
    Arguments(#[from] ParameterError),
    /// Error of ROS.
    #[error("ROS 2 refused: {0}; is a ROS 2 environment sourced, and are the arguments after --ros-args valid?")]
    Ros(#[from] RclrsError),
}

/// Niceness of a node that must keep its period while a network on the same machine uses all cores.
const PRECEDENCE: i32 = -10;

/// Raises the priority of this process and of every thread that it starts afterwards; to be called in `main`, directly
/// after [`catch_signals`].
///
/// Needs root or a `nice` limit (`/etc/security/limits.conf`); otherwise the priority is unchanged.
pub fn take_precedence() {
    // Refusal is normal for an ordinary user, and there is no logger yet.
    let _ = rustix::process::setpriority_process(None, PRECEDENCE);
}

/// Runs a node: calls `start`, spins until a signal, and shuts down.
///
/// Exits with [`REFUSED`] when `start` returns an error, when there is an argument that is not for ROS or that ROS does not
/// know, and when ROS refuses an argument or a value.
///
/// # Errors
/// When threads or signal handlers cannot be initialised, or the node's executor fails.
pub fn run<N, E: std::fmt::Display>(
    name: &str,
    start: impl FnOnce(&Runtime) -> Result<N, E>,
) -> Result<Infallible, RuntimeError> {
    run_to_code(name, start, |_| 0)
}

/// As [`run`], with the exit code of a node that has ended from `code`.
///
/// # Errors
/// As [`run`].
pub fn run_to_code<N, E: std::fmt::Display>(
    name: &str,
    start: impl FnOnce(&Runtime) -> Result<N, E>,
    code: impl FnOnce(&N) -> u8,
) -> Result<Infallible, RuntimeError> {
    if let Err(problem) = require_ros_only(&std::env::args().collect::<Vec<_>>()) {
        eprintln!("{name}: {problem}");
        exit(REFUSED);
    }
    let runtime = match Runtime::start(name) {
        Err(problem @ (RuntimeError::Arguments(_) | RuntimeError::Ros(_))) => {
            eprintln!("{name}: {problem}");
            exit(REFUSED);
        }
        started => started?,
    };
    let node = match start(&runtime) {
        Ok(node) => node,
        Err(error) => {
            tracing::error!("{error}");
            exit(REFUSED);
        }
    };
    runtime.spin()?;
    let code = code(&node);
    drop(node);
    exit(code)
}

/// Exits without running the destructors of static objects of the C++ libraries: a thread that still loads a network or
/// answers a service would crash.
fn exit(code: u8) -> ! {
    // There is nobody left to report an error to.
    let _ = std::io::stdout().flush();
    signal_hook::low_level::exit(code.into())
}

type Hook = Box<dyn FnOnce() + Send>;

/// Shutdown of a node, with hooks that run before it.
#[derive(Clone)]
pub struct Shutdown {
    hooks: Arc<Mutex<Vec<Hook>>>,
    requested: Arc<AtomicBool>,
    requests: mpsc::UnboundedSender<String>,
    threads: Arc<Mutex<Vec<std::thread::JoinHandle<()>>>>,
}

impl Shutdown {
    /// Runs `work` on a thread of its own. It must end soon after [`Self::is_requested`] returns true, because the node
    /// waits for it. An error shuts the node down.
    pub fn run_beside<E: std::fmt::Display>(&self, work: impl FnOnce() -> Result<(), E> + Send + 'static) {
        let shutdown = self.clone();
        let thread = std::thread::spawn(move || {
            if let Err(error) = work() {
                shutdown.request(error.to_string());
            }
        });
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    fn join_threads(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The panic hook has reported a panic already.
            let _ = thread.join();
        }
    }

    /// Adds a hook that runs when a signal arrives, when a thread panics, or when the node ends by itself. Hooks run
    /// immediately, newest first, before anything is torn down.
    pub fn before(&self, hook: impl FnOnce() + Send + 'static) {
        self.lock().push(Box::new(hook));
    }

    /// Requests an orderly shutdown.
    pub fn request(&self, reason: impl Into<String>) {
        // The receiver is gone only when the node has already ended.
        let _ = self.requests.send(reason.into());
    }

    /// Returns whether shutdown has begun.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    fn run_hooks(&self) {
        self.requested.store(true, Ordering::Release);
        loop {
            let next = self.lock().pop();
            match next {
                Some(hook) => hook(),
                None => return self.join_threads(),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Hook>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node with its executor, tokio runtime and shutdown.
pub struct Runtime {
    executor: Executor,
    node: Node,
    overrides: Overrides,
    shutdown: Shutdown,
    stopped: tokio::sync::oneshot::Receiver<()>,
    tokio: tokio::runtime::Runtime,
}

impl Runtime {
    /// Starts the node called `name`; ROS arguments come from the command line.
    ///
    /// # Errors
    /// As [`Runtime::start_in`].
    pub fn start(name: &str) -> Result<Self, RuntimeError> {
        Self::start_in(name, "/")
    }

    /// Starts the node called `name` in a namespace, unless ROS arguments say another.
    ///
    /// # Errors
    /// When threads, signal handlers or ROS cannot be initialised.
    pub fn start_in(name: &str, namespace: &str) -> Result<Self, RuntimeError> {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let (requests, received) = mpsc::unbounded_channel();
        let shutdown = Shutdown {
            hooks: Arc::default(),
            requested: Arc::default(),
            requests,
            threads: Arc::default(),
        };
        // rclrs handles no signals, and DDS threads must start after our handlers are in place.
        let signals = {
            let _inside = tokio.enter();
            Signals::listen()?
        };
        child_process::end_with_parent()?;
        // ROS would refuse some of the files that are refused here without a name, and accept others.
        let overrides = Overrides::read(std::env::args(), name, namespace)?;
        let context = Context::new(overrides.arguments(), InitOptions::default())?;
        let executor = context.create_basic_executor();
        let node = executor.create_node(name.namespace(namespace))?;
        rosout::install(node.logger().clone());
        overrides.notes.iter().for_each(|note| tracing::warn!("{note}"));
        // The endpoint of a node that has ended has no history policy in the graph, and rclrs logs that as an error at
        // every query.
        Logger::new("QoSProfile.conversion")?.set_level(LogSeverity::Fatal)?;
        end_on_panic(shutdown.clone());
        let (ended, stopped) = tokio::sync::oneshot::channel();
        tokio.spawn(watch(signals, received, shutdown.clone(), ended));
        Ok(Self {
            executor,
            node,
            overrides,
            shutdown,
            stopped,
            tokio,
        })
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Parameters that the arguments give.
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// Where to hang what must happen before the end.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Runtime of asynchronous work; ROS callbacks run on the executor's thread.
    pub fn tokio(&self) -> &tokio::runtime::Handle {
        self.tokio.handle()
    }

    /// Runs callbacks until a signal or [`Shutdown::request`].
    ///
    /// # Errors
    /// When the executor fails.
    pub fn spin(mut self) -> Result<(), RuntimeError> {
        let stopped = self.stopped;
        // A condition given to spin() is not lost, however early the signal came; a call of halt_spinning() may be.
        let stopped = self.executor.commands().run(async move {
            let _ = stopped.await;
        });
        let errors = self
            .executor
            .spin(SpinOptions::default().until_promise_resolved(stopped));
        self.shutdown.run_hooks();
        self.tokio.shutdown_timeout(Duration::from_millis(100));
        errors.into_iter().next().map_or(Ok(()), |e| Err(e.into()))
    }
}

/// Time within which further signals count as the same request: a terminal and a launch both pass Ctrl-C on, and the kernel
/// signals a parent's death once for each of its threads. None of them may interrupt the braking of the arm.
const REPEATED_SIGNAL_TIME: Duration = Duration::from_secs(1);

/// Waits for the first reason to end, runs the hooks and stops the executor; a second request kills the process.
async fn watch(
    mut signals: Signals,
    mut requests: mpsc::UnboundedReceiver<String>,
    shutdown: Shutdown,
    ended: tokio::sync::oneshot::Sender<()>,
) {
    let reason = tokio::select! {
        signal = signals.next() => signal.to_owned(),
        reason = requests.recv() => reason.unwrap_or_default(),
    };
    let hooks = shutdown.clone();
    let hooks = tokio::task::spawn_blocking(move || hooks.run_hooks());
    tracing::info!("ending: {reason}");
    tokio::select! {
        _ = hooks => {}
        signal = signals.after(REPEATED_SIGNAL_TIME) => {
            tracing::error!("{signal} again before the node had ended: ending now");
            // exit() would run the destructors of a DDS that is still running, and they may block.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
    // The receiver is gone only when the executor has already stopped.
    let _ = ended.send(());
}

/// Makes a panic in any thread shut the node down through its hooks, so that it does not leave the arm moving.
fn end_on_panic(shutdown: Shutdown) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        shutdown.request(format!("panic: {panic}"));
    }));
}
