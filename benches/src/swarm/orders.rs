//! What whoever watches a swarm may ask of it, as lines of text.

use std::time::Duration;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// `begin NAME`: from now on everything counts for this event.
    Begin(String),
    /// `healed`: what disturbed is over.
    Healed,
    /// `end SECONDS`: as soon as everything that was sent until now is where it belongs, or after so long, the event is over; its row is
    /// the answer.
    End(Duration),
    /// `drop COUNT`: so many clients lose their connections, and come back at another node if they can.
    Drop(usize),
    /// `churn COUNT`: so many clients log out, and in again at any node a few seconds later.
    Churn(usize),
    /// `spread`: all are spread over the nodes that take clients; whoever is not where he belongs logs out, and in again there. The answer
    /// comes when all are online.
    Spread,
    /// `state`: how many are online where.
    State,
    /// `quit`: the end.
    Quit,
}

impl std::str::FromStr for Order {
    type Err = String;

    fn from_str(line: &str) -> Result<Order, String> {
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let bad = || format!("not understood: {line}");
        Ok(match word {
            "begin" if !rest.is_empty() => Order::Begin(rest.to_owned()),
            "healed" => Order::Healed,
            "end" => Order::End(Duration::from_secs_f64(rest.parse().map_err(|_| bad())?)),
            "drop" => Order::Drop(rest.parse().map_err(|_| bad())?),
            "churn" => Order::Churn(rest.parse().map_err(|_| bad())?),
            "spread" => Order::Spread,
            "state" => Order::State,
            "quit" => Order::Quit,
            _ => return Err(bad()),
        })
    }
}
