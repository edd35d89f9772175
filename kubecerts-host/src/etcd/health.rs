//! Whether the members of a cluster are well, as `etcdctl endpoint health` finds out.

use std::sync::Arc;
use std::time::Duration;

use kubecerts_core::observation::{ClusterHealth, WellBeing};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::Connection;
use super::credentials::Client;
use super::error::Wait;
use super::generated::{Member, MemberListRequest, RangeRequest, StatusRequest};
use super::member::reachable;
use super::{EtcdError, EtcdMember, run};

/// Asks `member` who belongs to its cluster, and then all of them at once whether they are well.
///
/// A member is well when it answers a linearizable read within `deadline`, for which a quorum has to be behind it, and
/// when no alarm of its own, such as `NOSPACE`, is active. `member` itself is asked at its own endpoint and is
/// [`WellBeing::Here`] when it is well. The others are asked at the `https` URLs that the cluster has for them, the
/// first four at most; each must show a certificate of the same authority that names the host of the URL, and be the
/// member that it is asked for. A member that was never started is not well.
///
/// Learners have no vote and do not count: they are not in the result.
///
/// `deadline` bounds the list of members, with its connection, and then all the questions together: the answer is there
/// after twice this time.
///
/// # Errors
/// [`EtcdError`] when `member` cannot be asked who belongs to its cluster, or names more than 16 members. That other
/// members cannot be asked is in the result.
///
/// # Panics
/// When it is called within an asynchronous runtime: it blocks.
pub fn cluster_health(member: &EtcdMember, deadline: Duration) -> Result<ClusterHealth, EtcdError> {
    run(ask_all(member, deadline))
}

async fn ask_all(member: &EtcdMember, deadline: Duration) -> Result<ClusterHealth, EtcdError> {
    let endpoint = member.endpoint();
    let client = Arc::new(Client::of(member)?);
    let (here, listed) = list(endpoint, &client, deadline).await?;

    let mut members = Vec::new();
    let mut asked = JoinSet::new();
    for Member { id, name, client_ur_ls: client_urls, is_learner } in listed {
        if is_learner {
            continue;
        }
        if name.is_empty() {
            members.push((name, WellBeing::Unwell("was never started".to_owned())));
            continue;
        }
        let is_here = id == here;
        let urls = match is_here {
            true => vec![endpoint.to_owned()],
            false => client_urls.iter().filter_map(|url| reachable(url)).take(URLS).collect(),
        };
        let client = Arc::clone(&client);
        asked.spawn(async move {
            let being = match ask_member(id, urls, client, deadline).await {
                Ok(()) if is_here => WellBeing::Here,
                Ok(()) => WellBeing::Well,
                Err(reason) => WellBeing::Unwell(reason),
            };
            (name, being)
        });
    }
    while let Some(answer) = asked.join_next().await {
        members.push(answer.expect("a question neither panics nor is given up"));
    }
    Ok(ClusterHealth::new(members))
}

/// Returns the number of the member at `endpoint`, and all members as it knows them, which takes no quorum.
async fn list(endpoint: &str, client: &Client, deadline: Duration) -> Result<(u64, Vec<Member>), EtcdError> {
    let begun = Instant::now();
    let connection = Connection::open(endpoint, client, deadline).await?.until(begun);
    let mut cluster = connection.cluster().max_decoding_message_size(LIST_SIZE);
    let answer =
        connection.wait(Wait::Members, cluster.member_list(MemberListRequest {})).await?.into_inner();
    let count = answer.members.len();
    if count > MEMBERS {
        return Err(EtcdError::Members { endpoint: endpoint.to_owned(), count });
    }
    Ok((answer.header.unwrap_or_default().member_id, answer.members))
}

/// Asks the member `id` at all of `urls`, of which one must answer that it is well; else returns what the first has said.
async fn ask_member(
    id: u64,
    urls: Vec<String>,
    client: Arc<Client>,
    deadline: Duration,
) -> Result<(), String> {
    let mut asked = JoinSet::new();
    for (index, url) in urls.into_iter().enumerate() {
        let client = Arc::clone(&client);
        asked.spawn(async move { ask(id, &url, &client, deadline).await.map_err(|reason| (index, reason)) });
    }
    let mut reasons = Vec::new();
    while let Some(answer) = asked.join_next().await {
        match answer.expect("a question neither panics nor is given up") {
            Ok(()) => return Ok(()),
            Err(reason) => reasons.push(reason),
        }
    }
    let (_, reason) = reasons.into_iter().min().unwrap_or((0, "has no https URL for clients".to_owned()));
    Err(reason.chars().take(REASON).collect())
}

/// Asks the member `id` at `endpoint`; returns why it is not well.
async fn ask(id: u64, endpoint: &str, client: &Client, deadline: Duration) -> Result<(), String> {
    let begun = Instant::now();
    let text = |error: EtcdError| error.to_string();
    let connection = Connection::open(endpoint, client, deadline).await.map_err(text)?.until(begun);
    let mut maintenance = connection.maintenance();
    let status = connection.wait(Wait::Status, maintenance.status(StatusRequest {})).await.map_err(text)?;
    let status = status.into_inner();
    // Behind a wrong URL one member would count twice.
    if status.header.unwrap_or_default().member_id != id {
        return Err(format!("another member answers at {endpoint}"));
    }
    if let Some(alarm) = status.errors.iter().find_map(|error| alarm(id, error)) {
        return Err(format!("alarm {alarm} is active"));
    }
    // A database without this key does, and what it holds is nobody's concern.
    let request = RangeRequest { key: KEY.to_vec(), count_only: true };
    let mut keys = connection.keys();
    match connection.wait(Wait::Read, keys.range(request)).await {
        // Whoever may not read learns that as well only from a quorum.
        Ok(_) | Err(EtcdError::Status { code: PERMISSION_DENIED, .. }) => Ok(()),
        Err(error) if status.errors.is_empty() => Err(text(error)),
        Err(error) => Err(format!("{error} ({})", status.errors.join(", "))),
    }
}

/// Returns the alarm that `error`, one of a status such as `memberID:17 alarm:NOSPACE `, reports of the member `id`.
fn alarm(id: u64, error: &str) -> Option<&str> {
    let mut words = error.split_whitespace();
    let its_own = words.next()?.strip_prefix("memberID:")?.parse() == Ok(id);
    words.next()?.strip_prefix("alarm:").filter(|_| its_own)
}

/// The key that `etcdctl endpoint health` reads.
const KEY: &[u8] = b"health";

/// How many members a list may have; etcd advises against more than 7.
const MEMBERS: usize = 16;

/// How many URLs of a member are asked at the same time.
const URLS: usize = 4;

/// How long a list of members may be, in bytes; one of 16 members takes some 3 KiB.
const LIST_SIZE: usize = 256 << 10;

/// How many characters of a reason are kept: part of it may be foreign.
const REASON: usize = 400;

/// The number of the gRPC status for a permission that is missing.
const PERMISSION_DENIED: i32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_that_of_the_member_that_raised_it() {
        assert_eq!(alarm(17, "memberID:17 alarm:NOSPACE "), Some("NOSPACE"));
        assert_eq!(alarm(17, "memberID:17  alarm:CORRUPT"), Some("CORRUPT"));
        for other in ["memberID:170 alarm:NOSPACE ", "etcdserver: no leader", "memberID:17", ""] {
            assert_eq!(alarm(17, other), None, "{other}");
        }
    }
}
