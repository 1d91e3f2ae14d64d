//! A server on loopback that does as it was last told, with a thread for each connection.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// It listens until the process ends; when this is dropped it is told to do nothing out of the ordinary any more.
pub(crate) struct Loopback<S: Default> {
    pub(crate) port: u16,
    pub(crate) orders: Arc<Orders<S>>,
}

/// What the server was told, for its connections to look at and to wait for.
#[derive(Default)]
pub(crate) struct Orders<S> {
    told: Mutex<Told<S>>,
    news: Condvar,
}

#[derive(Default)]
pub(crate) struct Told<S> {
    /// What it was told last, and what has come of it since.
    pub(crate) what: S,
    /// Counts what it was told: a connection that stalls ends when it is told anything else.
    pub(crate) number: usize,
}

impl<S: Default + Send + 'static> Loopback<S> {
    /// `serve` is called for each connection.
    ///
    /// # Errors
    /// When no port is left.
    pub(crate) fn start<T>(serve: impl Fn(TcpStream, &Orders<S>) -> T + Clone + Send + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let orders = Arc::new(Orders::default());
        let shared = orders.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (shared, serve) = (shared.clone(), serve.clone());
                std::thread::spawn(move || drop(serve(client, &shared)));
            }
        });
        Ok(Self { port, orders })
    }
}

impl<S: Default> Drop for Loopback<S> {
    fn drop(&mut self) {
        self.orders.tell(S::default());
    }
}

impl<S> Orders<S> {
    /// As things are now; nobody else looks or tells while the answer is held.
    pub(crate) fn now(&self) -> MutexGuard<'_, Told<S>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on.
    pub(crate) fn tell(&self, what: S) {
        let mut told = self.now();
        *told = Told { what, number: told.number + 1 };
        self.news.notify_all();
    }

    /// Waits until the server is told anything else than when it was told so often.
    pub(crate) fn hold(&self, number: usize) {
        drop(self.news.wait_while(self.now(), |told| told.number == number));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_connection_is_held_until_the_server_is_told_anything_else() {
        let server = Loopback::start(|mut client, orders: &Orders<u8>| {
            let (what, number) = {
                let told = orders.now();
                (told.what, told.number)
            };
            client.write_all(&[what]).expect("begins");
            orders.hold(number);
            client.write_all(&[orders.now().what]).expect("goes on");
        })
        .expect("a port");
        server.orders.tell(1);
        let mut client = TcpStream::connect(("127.0.0.1", server.port)).expect("connects");
        let mut byte = [0];
        client.read_exact(&mut byte).expect("begins");
        assert_eq!(byte, [1]);
        server.orders.tell(2);
        client.read_exact(&mut byte).expect("goes on");
        assert_eq!(byte, [2]);

        let mut client = TcpStream::connect(("127.0.0.1", server.port)).expect("connects");
        client.read_exact(&mut byte).expect("begins");
        drop(server);
        client.read_exact(&mut byte).expect("goes on");
        assert_eq!(byte, [0], "nothing out of the ordinary");
    }
}
