//! What the sentinels say about a master, and which of them to believe. Independent of sockets.

use fragcache::store::{Fault, StoreError};
use redis::{Pipeline, Value};

use crate::address::Place;
use crate::fault::{self, text};

/// What one sentinel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// The master, unless the sentinel does not know its name.
    pub(crate) master: Option<Place>,
    /// The number of its last failover.
    epoch: u64,
    /// The names that the sentinel knows.
    names: Vec<String>,
    /// The other sentinels.
    pub(crate) sentinels: Vec<Place>,
}

/// The commands to ask a sentinel about the master called `name`.
pub(crate) fn question(name: &str) -> Pipeline {
    let mut commands = redis::pipe();
    commands.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    commands.cmd("SENTINEL").arg("MASTERS");
    commands.cmd("SENTINEL").arg("SENTINELS").arg(name);
    commands
}

/// Decodes the answers of the sentinel at `asked`.
pub(crate) fn named(answers: &[Value], name: &str, asked: &Place) -> Result<Named, StoreError> {
    let [master, masters, sentinels] = answers else { return Err(fault::nonsense(asked)) };
    let master = match master {
        Value::Nil => None,
        Value::Array(parts) => match parts.as_slice() {
            [host, port] => {
                Some(place(text(host), text(port)).ok_or_else(|| fault::nonsense(asked))?)
            }
            _ => return Err(fault::nonsense(asked)),
        },
        Value::ServerError(error) => {
            return Err(match error.code() {
                // "unknown command".
                "ERR" => StoreError::new(
                    Fault::Unusable,
                    format!(
                        "{asked} is no Sentinel: write redis://host:port, or the sentinels' port"
                    ),
                ),
                _ => fault::refusal(asked, error),
            });
        }
        _ => return Err(fault::nonsense(asked)),
    };
    let rows = |value| match value {
        Value::Array(rows) => rows,
        // Unknown name, or the user lacks the right to this question.
        _ => Vec::new(),
    };
    let masters = rows(masters.clone());
    let of_name = masters.iter().find(|row| fault::told(row, "name") == Some(name));
    let epoch = of_name.and_then(|row| fault::told(row, "config-epoch")?.parse().ok());
    let names = masters.iter().filter_map(|row| fault::told(row, "name").map(str::to_owned));
    let sentinels = rows(sentinels.clone())
        .iter()
        .filter_map(|row| place(fault::told(row, "ip"), fault::told(row, "port")))
        .collect();
    Ok(Named { master, epoch: epoch.unwrap_or(0), names: names.collect(), sentinels })
}

fn place(host: Option<&str>, port: Option<&str>) -> Option<Place> {
    let host = host.filter(|host| !host.is_empty())?.to_owned();
    let port = port?.parse().ok().filter(|&port| port != 0)?;
    Some(Place::Tcp { host, port })
}

/// The masters that sentinels name, the most likely first: that of the last failover, then the one
/// that most sentinels name. Whether it is one is for itself to say.
pub(crate) fn masters(answers: &[Named]) -> Vec<Place> {
    let mut found: Vec<(u64, usize, &Place)> = Vec::new();
    for (master, epoch) in answers.iter().filter_map(|one| Some((one.master.as_ref()?, one.epoch)))
    {
        match found.iter_mut().find(|(.., known)| *known == master) {
            Some((last, votes, _)) => (*last, *votes) = (epoch.max(*last), *votes + 1),
            None => found.push((epoch, 1, master)),
        }
    }
    found.sort_by_key(|&(epoch, votes, _)| std::cmp::Reverse((epoch, votes)));
    found.into_iter().map(|(.., master)| master.clone()).collect()
}

/// The error when no sentinel knows the master's name.
pub(crate) fn unknown(name: &str, answers: &[Named]) -> StoreError {
    let mut names: Vec<_> = answers.iter().flat_map(|one| &one.names).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let hint = match names.as_slice() {
        [] => "and name no other".to_owned(),
        names => format!("write {}", names.join(" or ")),
    };
    StoreError::new(Fault::Unusable, format!("the sentinels know no master `{name}`: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Place {
        Place::Tcp { host: host.into(), port }
    }

    fn strings(texts: &[&str]) -> Value {
        Value::Array(texts.iter().map(|text| Value::BulkString(text.as_bytes().to_vec())).collect())
    }

    fn error(line: &str) -> Value {
        redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap()
    }

    #[test]
    fn an_answer_names_the_master_and_the_other_sentinels() {
        let masters = Value::Array(vec![
            strings(&["name", "other", "ip", "10.0.0.9", "config-epoch", "70"]),
            strings(&["name", "shop", "ip", "10.0.0.1", "config-epoch", "7"]),
        ]);
        let sentinels = Value::Array(vec![strings(&["name", "id", "ip", "::1", "port", "26380"])]);
        let answers = [strings(&["10.0.0.1", "6379"]), masters.clone(), sentinels];
        let found = named(&answers, "shop", &at("s", 1)).unwrap();
        assert_eq!(found.master, Some(at("10.0.0.1", 6379)));
        assert_eq!((found.epoch, found.sentinels.as_slice()), (7, &[at("::1", 26380)][..]));

        let none = [Value::Nil, masters, error("ERR No such master with that name")];
        let found = named(&none, "ship", &at("s", 1)).unwrap();
        assert_eq!(found.master, None);
        let said = unknown("ship", &[found.clone(), found]).to_string();
        assert_eq!(said, "the sentinels know no master `ship`: write other or shop");
    }

    #[test]
    fn what_is_no_sentinel_is_refused() {
        let refusal = [error("ERR unknown command"), error("ERR no"), error("ERR no")];
        let said = named(&refusal, "shop", &at("s", 1)).unwrap_err();
        assert_eq!(said.fault(), Fault::Unusable);
        assert!(said.to_string().contains("is no Sentinel: write redis://"), "{said}");
        let locked = [error("NOAUTH x"), error("NOAUTH x"), error("NOAUTH x")];
        let said = named(&locked, "shop", &at("s", 1)).unwrap_err();
        assert!(said.to_string().contains("requires a password"), "{said}");
        for wrong in [Value::Okay, strings(&["a"]), strings(&["a", "x"]), strings(&["", "1"])] {
            let answers = [wrong, Value::Nil, Value::Nil];
            let error = named(&answers, "shop", &at("s", 1)).unwrap_err();
            assert_eq!(error.fault(), Fault::Protocol, "{answers:?}");
        }
    }

    #[test]
    fn the_last_failover_wins_then_the_most_sentinels() {
        let of = |port, epoch| Named {
            master: Some(at("m", port)),
            epoch,
            names: Vec::new(),
            sentinels: Vec::new(),
        };
        let ports = |answers: &[Named]| {
            let masters = masters(answers).into_iter().map(|place| match place {
                Place::Tcp { port, .. } => port,
                #[cfg(unix)]
                Place::Unix(_) => 0,
            });
            masters.collect::<Vec<_>>()
        };
        assert_eq!(ports(&[of(1, 1), of(1, 1), of(2, 2)]), [2, 1]);
        assert_eq!(ports(&[of(1, 1), of(2, 1), of(2, 1)]), [2, 1]);
        assert_eq!(ports(&[Named { master: None, ..of(1, 9) }]), []);
    }
}
