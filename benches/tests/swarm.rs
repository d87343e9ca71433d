//! The swarm against two servers in this process: who loses a connection comes back, and the books know what became of it.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use chat_bench::swarm::{Options, Order, run};
use chat_bench::work::{Failure, Target};
use chat_net::server::{Domain, Listener, Server, ServerHandle};
use serde_json::Value;

const CLIENTS: u32 = 6;

fn server() -> (ServerHandle, SocketAddr) {
    let any = "127.0.0.1:0".parse().expect("an address");
    let mut builder =
        Server::builder().domain(Domain::new("localhost").plaintext(true)).listen(Listener::Clients, any);
    for n in 0..CLIENTS {
        builder = builder.account(format!("user{n}@localhost"), "password");
    }
    let handle = builder.start().expect("it starts");
    let address = handle.local_addr(Listener::Clients).expect("it listens");
    (handle, address)
}

struct Swarm {
    orders: Sender<Order>,
    answers: Receiver<Value>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl Swarm {
    fn start(nodes: Vec<SocketAddr>) -> Swarm {
        let ((orders, heard), (tell, answers)) = (channel(), channel());
        let options =
            Options { nodes, web: Vec::new(), clients: CLIENTS, rate: 20.0, partners: 2, roams: false };
        let target = Target::new(options.nodes[0]);
        let thread = std::thread::spawn(move || {
            run(&target, &options, &heard, &mut |answer| tell.send(answer).expect("somebody listens"))
        });
        Swarm { orders, answers, thread }
    }

    fn ask(&self, order: Order) -> Value {
        self.orders.send(order).expect("it runs");
        self.answers.recv_timeout(Duration::from_secs(60)).expect("an answer")
    }

    fn wait_until_online(&self) {
        while self.ask(Order::State)["online"] != u64::from(CLIENTS) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn event(&self, disturb: impl FnOnce()) -> Value {
        self.ask(Order::Begin("a test".to_owned()));
        disturb();
        self.ask(Order::Healed);
        self.ask(Order::End(Duration::from_secs(20)))
    }

    fn quit(self) {
        self.orders.send(Order::Quit).expect("it runs");
        self.thread.join().expect("no panic").expect("it went well");
    }
}

/// The figures of an answer.
fn figures(row: &Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| row[*name].as_u64().unwrap_or_else(|| panic!("{name} in {row}"))).collect()
}

const FAULTS: [&str; 5] = ["lost", "doubled", "swapped", "unacked", "strange"];

#[test]
fn who_loses_a_connection_resumes_and_nothing_is_lost() {
    let (handle, address) = server();
    let swarm = Swarm::start(vec![address]);
    swarm.wait_until_online();
    let row = swarm.event(|| {
        swarm.ask(Order::Drop(3));
    });
    assert_eq!(figures(&row, &FAULTS), [0; 5], "{row}");
    assert_eq!(figures(&row, &["affected", "resumed", "anew"]), [3, 3, 0], "{row}");
    assert!(row["sent"].as_u64().is_some_and(|sent| sent > 20), "{row}");
    swarm.quit();
    drop(handle);
}

#[test]
fn what_is_lost_with_a_server_shows() {
    // Two servers that know nothing of each other: what one has acknowledged never reaches clients of the other.
    let ((one, first), (two, second)) = (server(), server());
    let swarm = Swarm::start(vec![first, second]);
    swarm.wait_until_online();
    swarm.ask(Order::Begin("a test".to_owned()));
    std::thread::sleep(Duration::from_millis(500));
    let row = swarm.ask(Order::End(Duration::from_secs(3)));
    assert!(figures(&row, &["lost"])[0] > 0, "{row}");
    assert_eq!(figures(&row, &FAULTS[1..]), [0; 4], "{row}");
    swarm.quit();
    drop((one, two));
}

#[test]
fn a_session_that_is_gone_is_replaced_by_a_new_one() {
    let ((one, first), (two, second)) = (server(), server());
    let swarm = Swarm::start(vec![first, second]);
    swarm.wait_until_online();
    let row = swarm.event(|| {
        // Half of them were with the first, which does not know sessions of the second.
        swarm.ask(Order::Drop(CLIENTS as usize));
        std::thread::sleep(Duration::from_millis(200));
    });
    assert_eq!(figures(&row, &["affected", "resumed", "anew"]), [6, 0, 6], "{row}");
    swarm.quit();
    drop((one, two));
}
