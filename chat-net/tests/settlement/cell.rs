//! One cell of the table: two messages of one kind, one fault, and what is seen of it from outside.

use std::time::{Duration, Instant};

use crate::client::{Client, attr, body, error};
use crate::stage::{PATIENCE, Stage, eventually, limits};
use chat_net::store::sqlite::Fault;

/// What the SQLite writer does from the moment before the messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// Its work.
    Works,
    /// Nothing for two seconds, then its work.
    Stalls,
    /// Nothing for longer than the engine waits, then its work.
    Hangs,
    /// Every commit is an I/O error.
    Fails,
    /// Every commit finds the disk full.
    FullDisk,
    /// The first operation fails in itself.
    FailsOne,
    /// The first batch is committed, and its answers are lost.
    LosesOne,
    /// All batches are committed, and all answers are lost.
    LosesAll,
}

/// Whom the messages are for: romeo, and what he and his clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Romeo {
    /// He has no session.
    IsOffline,
    /// His client has stream management and acknowledges what it gets.
    Acks,
    /// The same, once their rows are written or refused; or after 400 ms, while a writer that stands still has them.
    AcksLate,
    /// His client has stream management and never acknowledges anything.
    NeverAcks,
    /// He has two with stream management; only one acknowledges.
    AcksOnce,
    /// His client's connection broke; its session can be resumed.
    IsDetached,
    /// His client has no stream management.
    IsUnmanaged,
    /// The same, and it does not read.
    IsSlow,
    /// He blocks the sender.
    Blocks,
    /// He has no session, and no room in his spool for more than the one message that waits.
    IsFull,
}

/// What must be so, and be seen, before `h` covers a message. The error that bounces it always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// A client has acknowledged it.
    Acked,
    /// A row is committed.
    Kept,
    /// Either of them.
    AckedOrKept,
    /// A client without stream management has it.
    Written,
    /// The error is queued.
    Refused,
    /// Nothing more: it was decided.
    Decided,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// By the sender: bounces, and `h` when it covers both messages; "(waits)" if that came only once the writer went on
    /// or the engine asked it again.
    pub hears: String,
    /// By the recipient's clients in the sessions that they had then.
    pub gets: String,
    /// By him, on a server that starts from the files as they were when `h` covered both (with [`Romeo::AcksLate`]: at the
    /// end of all).
    pub crash: String,
    /// By him, when the writer works again and he logs in anew.
    pub next: String,
}

/// A client of romeo's, and what it did.
struct Party {
    client: Client,
    reads: bool,
    acks: bool,
    /// When it got the second message.
    complete: Option<Instant>,
    acked: bool,
    got: Vec<String>,
}

const MESSAGES: [&str; 2] = ["m1", "m2"];

/// Later than this, something was waited for. Before the 2.5 s are over after which the engine asks again.
const LATE: Duration = Duration::from_millis(2_400);

/// How long a writer stalls: time enough for everything that does not need it.
const STALL: Duration = Duration::from_secs(2);

pub fn run(romeo: Romeo, stanza: &str, settled: Settled, writer: Writer) -> Seen {
    let mut cell = Cell::prepare(romeo, settled, writer);
    let text: String = MESSAGES.iter().map(|m| stanza.replace("{m}", m)).collect();
    cell.converse(&text);
    // A row that is just being deleted may be seen or not: then the end is looked at, where it must be gone.
    let crash = (romeo != Romeo::AcksLate).then(|| after_a_crash(&cell.stage));
    cell.stage.heal();
    let gets = cell.part();
    let next = log_in(&cell.stage);
    let crash = crash.unwrap_or_else(|| after_a_crash(&cell.stage));
    cell.check(&crash);
    let hears = cell.juliet_hears();
    cell.stage.shutdown();
    Seen { hears, gets, crash: crash.join(" "), next: next.join(" ") }
}

struct Cell {
    stage: Stage,
    juliet: Client,
    romeo: Romeo,
    parties: Vec<Party>,
    settled: Settled,
    writer: Writer,
    h: u32,
    /// What juliet hears, in order.
    hears: Vec<String>,
    /// The messages that bounced.
    bounced: Vec<String>,
    /// Her requests that were answered before `h` covered both.
    in_vain: u32,
}

impl Cell {
    fn prepare(romeo: Romeo, settled: Settled, writer: Writer) -> Cell {
        let mut limits = limits();
        if romeo == Romeo::IsFull {
            limits.spool_messages_per_user_max = 1;
        }
        let stage = Stage::new(limits);
        let mut nurse = Client::login(&stage.server, "nurse", "r");
        let parties = arrive(&stage, romeo);
        match romeo {
            Romeo::IsFull => {
                nurse.send("<message type='chat' to='romeo@localhost'><body>m0</body></message>");
                eventually("the spool is full", || stage.rows("m0") == 1);
            }
            Romeo::IsSlow => {
                // More than the connection takes.
                let filler = "x".repeat(10_000);
                for _ in 0..12 {
                    nurse.send(&format!(
                        "<message type='headline' to='romeo@localhost/r'><subject>{filler}</subject></message>"
                    ));
                }
                nurse.drain();
            }
            _ => {}
        }
        let juliet = Client::login(&stage.server, "juliet", "balcony").managed();
        stage.settle();
        Cell {
            stage,
            juliet,
            romeo,
            parties,
            settled,
            writer,
            h: 0,
            hears: Vec::new(),
            bounced: Vec::new(),
            in_vain: 0,
        }
    }

    fn arm(&self) {
        let faults = &self.stage.faults;
        match self.writer {
            Writer::Works => {}
            Writer::Stalls | Writer::Hangs => faults.hold(),
            Writer::Fails => faults.always(Fault::Fail),
            Writer::FullDisk => faults.always(Fault::DiskFull),
            Writer::FailsOne => faults.once(Fault::FailOne(0)),
            Writer::LosesOne => faults.once(Fault::LoseAnswers),
            Writer::LosesAll => faults.always(Fault::LoseAnswers),
        }
    }

    /// Sends the messages, and asks for `h` until it covers both.
    fn converse(&mut self, text: &str) {
        self.arm();
        let begin = Instant::now();
        self.juliet.send(text);
        let mut stalled = self.writer == Writer::Stalls;
        while self.h < 2 {
            assert!(begin.elapsed() < PATIENCE, "h stays {}, after {:?}", self.h, self.hears);
            if stalled && begin.elapsed() > STALL {
                self.hears.push("(waits)".to_owned());
                self.stage.faults.release();
                stalled = false;
            }
            self.juliet.send("<r xmlns='urn:xmpp:sm:3'/>");
            let mut wait = Duration::from_millis(20);
            while let Some(element) = self.juliet.poll(wait) {
                wait = Duration::ZERO;
                self.look();
                self.hear(&element, begin.elapsed());
            }
            self.look();
        }
        self.hears.push("h".to_owned());
        if self.hears.first().is_some_and(|first| first == "(waits)") {
            assert!(self.in_vain > 5, "she asked all the time");
        }
    }

    fn hear(&mut self, element: &str, after: Duration) {
        let loses = matches!(self.writer, Writer::Hangs | Writer::LosesOne | Writer::LosesAll);
        let news = element.starts_with("<message") || (element.starts_with("<a") && h(element) > self.h);
        if news && loses && after > LATE && self.hears.is_empty() {
            self.hears.push("(waits)".to_owned());
        }
        if element.starts_with("<a") {
            let (old, new) = (self.h, h(element));
            assert!(old <= new && new <= 2, "h goes from {old} to {new}");
            self.in_vain += u32::from(new < 2);
            self.h = new;
            for message in &MESSAGES[old as usize..new as usize] {
                self.verify(message);
            }
        } else if element.starts_with("<r ") {
            self.juliet.acknowledge();
        } else if let Some((kind, condition)) = error(element) {
            let id = attr(element, "id").expect("an id");
            let word = if condition == "internal-server-error" { kind } else { condition };
            self.hears.push(format!("{id} {word},"));
            self.bounced.push(id);
        } else if element.starts_with("<iq") {
            self.hears.push(format!("{} answer,", attr(element, "id").expect("an id")));
        } else {
            panic!("juliet hears {element}");
        }
    }

    /// `h` covers a message: what is promised must be so already.
    fn verify(&self, message: &str) {
        if self.bounced.iter().any(|m| m == message) {
            return;
        }
        let got = |p: &Party| p.got.iter().any(|m| m == message);
        let acked = self.parties.iter().any(|p| p.acked && got(p));
        let row = self.stage.rows(message) == 1;
        let true_ = match self.settled {
            Settled::Acked => acked,
            Settled::Kept => row,
            Settled::AckedOrKept => acked || row,
            Settled::Written => self.parties.iter().any(got),
            Settled::Refused => false,
            Settled::Decided => true,
        };
        assert!(true_, "h covers {message}, which is not settled; juliet heard {:?}", self.hears);
    }

    /// What romeo's clients got and do.
    fn look(&mut self) {
        let stored = |m: &&str| self.bounced.iter().any(|b| b == m) || self.stage.rows(m) == 1;
        let stored = self.romeo == Romeo::AcksLate && MESSAGES.iter().all(stored);
        for party in self.parties.iter_mut().filter(|p| p.reads) {
            while let Some(element) = party.client.poll(Duration::ZERO) {
                party.got.extend(body(&element));
            }
            let stands = matches!(self.writer, Writer::Stalls | Writer::Hangs)
                && party.complete.is_some_and(|at| at.elapsed() >= Duration::from_millis(400));
            party.act(self.romeo != Romeo::AcksLate || stored || stands);
        }
    }

    /// Romeo's sessions end; says what they got.
    fn part(&mut self) -> String {
        let mut all = Vec::new();
        for mut party in std::mem::take(&mut self.parties) {
            let rest = party.client.drain();
            party.got.extend(rest.iter().filter_map(|element| body(element)));
            if party.acks {
                party.client.acknowledge();
            }
            let got = party.got.clone();
            if self.romeo == Romeo::AcksOnce && !party.acks {
                // The same as the other.
                assert_eq!(got, all);
                all.clear();
            }
            party.client.close();
            all.extend(got);
        }
        all.join(" ")
    }

    /// Nothing that was acknowledged is lost.
    fn check(&mut self, crash: &[String]) {
        // What was left to be said.
        for element in self.juliet.drain() {
            if element.starts_with("<a") {
                assert_eq!(h(&element), 2, "h stays");
            } else if !element.starts_with("<r ") {
                self.hears.push(element);
            }
        }
        for message in MESSAGES.iter().filter(|m| !self.bounced.iter().any(|b| b == *m)) {
            let in_row = crash.iter().any(|m| m == message);
            let safe = match self.settled {
                Settled::Kept => in_row,
                Settled::Refused => false,
                // Shown by `verify`.
                Settled::Acked | Settled::AckedOrKept | Settled::Written | Settled::Decided => true,
            };
            assert!(safe, "{message} was acknowledged and is lost");
        }
    }

    fn juliet_hears(&self) -> String {
        self.hears.join(" ")
    }
}

impl Party {
    /// Acknowledges, if it has both and it is time.
    fn act(&mut self, time: bool) {
        if self.got.len() == MESSAGES.len() && self.complete.is_none() {
            self.complete = Some(Instant::now());
        }
        if self.acks && !self.acked && time && self.complete.is_some() {
            self.client.acknowledge();
            self.acked = true;
        }
    }
}

/// Romeo's clients.
fn arrive(stage: &Stage, romeo: Romeo) -> Vec<Party> {
    let unmanaged = |name: &str| Client::login(&stage.server, "romeo", name);
    let managed = |name: &str| unmanaged(name).managed();
    let party = |client: Client, acks: bool| Party {
        client: client.available(),
        reads: romeo != Romeo::IsSlow,
        acks,
        complete: None,
        acked: false,
        got: Vec::new(),
    };
    match romeo {
        Romeo::IsOffline | Romeo::IsFull => Vec::new(),
        Romeo::Acks | Romeo::AcksLate => vec![party(managed("r"), true)],
        Romeo::NeverAcks => vec![party(managed("r"), false)],
        Romeo::AcksOnce => {
            let one = party(managed("r"), true);
            let mut both = vec![one, party(managed("s"), false)];
            // Each sees the other come.
            both[0].client.drain();
            both[1].client.drain();
            both
        }
        Romeo::IsDetached => {
            // Its connection breaks here.
            drop(managed("r").available());
            Vec::new()
        }
        Romeo::IsUnmanaged | Romeo::IsSlow => vec![party(unmanaged("r"), false)],
        Romeo::Blocks => {
            let mut client = unmanaged("r").available();
            client.send(
                "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='juliet@localhost'/>\
                 </block></iq>",
            );
            client.drain();
            vec![party(client, false)]
        }
    }
}

/// What romeo finds if the server is killed now.
fn after_a_crash(stage: &Stage) -> Vec<String> {
    let crashed = stage.crashed();
    let found = log_in(&crashed);
    crashed.shutdown();
    found
}

/// Romeo logs in and reads what waits for him: each message once, and marked as late (XEP-0203).
pub fn log_in(stage: &Stage) -> Vec<String> {
    let mut client = Client::login(&stage.server, "romeo", "r").available();
    let mut found = Vec::new();
    let mut note = |element: String| {
        let Some(body) = body(&element) else { return };
        assert!(element.contains("<delay"), "{element}");
        assert!(!found.contains(&body), "{body} comes twice");
        found.push(body);
    };
    let begin = Instant::now();
    while stage.waiting("romeo") > 0 {
        assert!(begin.elapsed() < PATIENCE, "rows stay in the spool of a user who is there");
        if let Some(element) = client.poll(Duration::from_millis(10)) {
            note(element);
        }
    }
    client.drain().into_iter().for_each(note);
    client.close();
    found
}

fn h(element: &str) -> u32 {
    attr(element, "h").and_then(|h| h.parse().ok()).expect("a number")
}
