//! The engine on its socket, and what its containers publish.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, UnixListener},
    runtime::Handle,
    task::JoinHandle,
};

use crate::{
    Engine,
    api::{self, Answer},
    cli::Cli,
};

/// A simulated engine that listens.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    /// Ends the thread that serves when it is dropped.
    _stop: tokio::sync::oneshot::Sender<()>,
}

/// What every connection uses.
#[derive(Debug)]
pub(crate) struct Shared {
    engine: Mutex<Engine>,
    /// What its `docker` program does.
    pub cli: Cli,
    socket: PathBuf,
    ports: Mutex<BTreeMap<u16, JoinHandle<()>>>,
}

impl Server {
    /// Has an engine listen at `socket`.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn start(engine: Engine, socket: &Path) -> Result<Self> {
        let listener = std::os::unix::net::UnixListener::bind(socket).context("the engine's socket")?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            engine: Mutex::new(engine),
            cli: Cli::default(),
            socket: socket.to_owned(),
            ports: Mutex::default(),
        });
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = Arc::clone(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(&served, listener) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Ok(Self { shared, _stop: stop })
    }

    /// The engine, to look at or to change from outside.
    pub fn engine(&self) -> MutexGuard<'_, Engine> {
        self.shared.engine()
    }

    /// `unix://…`
    pub fn docker_host(&self) -> String {
        self.shared.docker_host()
    }
}

impl Shared {
    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn docker_host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Opens and closes ports until they are those that containers hold.
    pub(crate) fn publish(self: &Arc<Self>) {
        let wanted = self.engine().open_ports();
        let mut open = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|port, task| {
            let stays = wanted.contains(port);
            if !stays {
                task.abort();
            }
            stays
        });
        for port in wanted {
            open.entry(port).or_insert_with(|| {
                let shared = Arc::clone(self);
                Handle::current().spawn(async move { answer_on(&shared, port).await })
            });
        }
    }
}

async fn serve(shared: &Arc<Shared>, listener: std::os::unix::net::UnixListener) {
    let Ok(listener) = UnixListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let handle = |request: Request<Incoming>| {
                let shared = Arc::clone(&shared);
                async move {
                    match api::handle(&shared, request).await {
                        Answer::Say(response) => Ok(response),
                        // Whoever asked is dead, or is to believe that the engine is.
                        Answer::HangUp => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
                    }
                }
            };
            // A client that goes away in the middle is none of the engine's trouble.
            let _ =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(handle)).with_upgrades().await;
        });
    }
}

/// Answers a published port with the version behind it.
async fn answer_on(shared: &Arc<Shared>, port: u16) {
    let listener = loop {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    };
    while let Ok((stream, _)) = listener.accept().await {
        let answer = |_: Request<Incoming>| {
            let version = shared.engine().answer(port);
            let (status, body) = match version {
                Some(version) => (StatusCode::OK, format!("{{\"version\":\"{version}\"}}")),
                None => (StatusCode::BAD_GATEWAY, String::new()),
            };
            async move { Response::builder().status(status).body(Full::new(Bytes::from(body))) }
        };
        let _ =
            http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service_fn(answer)).await;
    }
}
