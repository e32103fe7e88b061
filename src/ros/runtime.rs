//! One node's life: signal handlers, context, node, spin, and hooks that run the moment a signal arrives.

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

use super::parameters::{Overrides, require_ros_only};
use super::rosout;
use super::signals::Signals;
use crate::parent;

/// Exit code of a node that refused to start: a parameter, a file or an argument that cannot work. Launch files end
/// the whole launch on it; a node that dies later leaves the others running.
pub const REFUSED: u8 = 2;

/// Why a node could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The operating system refused threads or signal handlers.
    #[error("cannot start the node's threads and signal handlers: {0}")]
    Threads(#[from] std::io::Error),
    /// ROS refused.
    #[error("ROS 2 refused: {0}; is a ROS 2 environment sourced, and are the arguments after --ros-args valid?")]
    Ros(#[from] RclrsError),
}

/// Niceness of a node that must keep its period while a network on the same machine takes every core it can get.
const PRECEDENCE: i32 = -10;

/// Puts this process, and every thread it starts from now on, before ordinary ones; to be called first in main.
///
/// Needs root or a `nice` limit (`/etc/security/limits.conf`); without them the node runs as any other.
pub fn take_precedence() {
    // Refusal is the ordinary case for an ordinary user, and no logger is up yet.
    let _ = rustix::process::setpriority_process(None, PRECEDENCE);
}

/// A node's whole life: `start` it, spin until a signal, end in good order.
///
/// Exits with [`REFUSED`] when `start` finds something that cannot work.
///
/// # Errors
/// When ROS, threads or signal handlers cannot be had.
pub fn run<N, E: std::fmt::Display>(
    name: &str,
    start: impl FnOnce(&Runtime) -> Result<N, E>,
) -> Result<Infallible, RuntimeError> {
    run_to_code(name, start, |_| 0)
}

/// As [`run`]; `code` tells the exit code of a node that has ended.
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
    let runtime = Runtime::start(name)?;
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

/// Ends the process without the destructors of the C++ libraries' static objects: a thread that still loads a network, or
/// answers a service, would crash under them.
fn exit(code: u8) -> ! {
    // Nobody is left to be told.
    let _ = std::io::stdout().flush();
    signal_hook::low_level::exit(code.into())
}

type Hook = Box<dyn FnOnce() + Send>;

/// Ends the node, and lets others have their say first.
#[derive(Clone)]
pub struct Shutdown {
    hooks: Arc<Mutex<Vec<Hook>>>,
    requested: Arc<AtomicBool>,
    requests: mpsc::UnboundedSender<String>,
    threads: Arc<Mutex<Vec<std::thread::JoinHandle<()>>>>,
}

impl Shutdown {
    /// Runs `work` on a thread of its own. It must end soon after [`Self::is_requested`]: the node waits for it, so that
    /// nothing is torn down under it. An error ends the node.
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
            // A panic has been reported by the hook already.
            let _ = thread.join();
        }
    }

    /// Runs `hook` when a signal arrives, when a thread panics, or when the node ends by itself. Hooks run at once,
    /// newest first, before anything is torn down.
    pub fn before(&self, hook: impl FnOnce() + Send + 'static) {
        self.lock().push(Box::new(hook));
    }

    /// Ends the node in good order.
    pub fn request(&self, reason: impl Into<String>) {
        // The receiver is gone only when the node has already ended.
        let _ = self.requests.send(reason.into());
    }

    /// Whether the end has begun.
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

/// Owns a node and what it runs on.
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
    /// When threads, signal handlers or ROS cannot be had.
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
        // rclrs handles no signals, and DDS threads must not be started before ours are in place.
        let signals = {
            let _inside = tokio.enter();
            Signals::listen()?
        };
        parent::end_with_parent()?;
        let overrides = Overrides::read(std::env::args(), name, namespace);
        let context = Context::new(overrides.arguments(), InitOptions::default())?;
        let executor = context.create_basic_executor();
        let node = executor.create_node(name.namespace(namespace))?;
        rosout::install(node.logger().clone());
        overrides.notes.iter().for_each(|note| tracing::warn!("{note}"));
        // A node's end seen in the graph has no history policy, and rclrs calls that an error at every look.
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

    /// Where asynchronous work runs; ROS callbacks themselves run on the executor's thread.
    pub fn tokio(&self) -> &tokio::runtime::Handle {
        self.tokio.handle()
    }

    /// Runs callbacks until a signal or [`Shutdown::request`]; to be called once.
    ///
    /// # Errors
    /// When the executor fails.
    pub fn spin(mut self) -> Result<(), RuntimeError> {
        let stopped = self.stopped;
        // A condition given to spin() cannot be lost, however early the signal came; halt_spinning() can.
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

/// One wish to end often comes as several signals: a terminal and a launch both pass Ctrl-C on, and the kernel tells a
/// child of its parent's death once for each of the parent's threads. None of them may cut an arm's braking short.
const SAME_WISH: Duration = Duration::from_secs(1);

/// Waits for the first reason to end, runs the hooks and stops the executor; a second wish to end kills the process.
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
        signal = signals.after(SAME_WISH) => {
            tracing::error!("{signal} again before the node had ended: ending now");
            // exit() would run the destructors of a DDS that is still at work, and they can wait for ever.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
    // The receiver is gone only when the executor has already stopped.
    let _ = ended.send(());
}

/// A panic in any thread ends the node through its hooks: an arm must not be left moving by half a process.
fn end_on_panic(shutdown: Shutdown) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        shutdown.request(format!("panic: {panic}"));
    }));
}
