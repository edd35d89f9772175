//! What a request is answered, and the texts of real components.

use std::fmt::Write as _;

use hyper::StatusCode;

/// A status and a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    pub(crate) fn json(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, content_type: "application/json", body: body.into() }
    }

    pub(crate) fn ok() -> Self {
        Self::text(StatusCode::OK, "ok")
    }

    pub(crate) fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "404 page not found\n")
    }

    /// What every component of Kubernetes answers those whom it does not know.
    pub(crate) fn unauthorized() -> Self {
        let body = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#;
        Self::json(StatusCode::UNAUTHORIZED, format!("{body}\n"))
    }

    /// What `/readyz` and its like answer, verbose, when `failed` of their checks fail.
    pub(crate) fn failed_checks(endpoint: &str, failed: &[&str]) -> Self {
        let mut body = String::new();
        for check in CHECKS {
            if failed.contains(&check) {
                let _ = writeln!(body, "[-]{check} failed: reason withheld");
            } else {
                let _ = writeln!(body, "[+]{check} ok");
            }
        }
        let _ = writeln!(body, "{endpoint} check failed");
        Self::text(StatusCode::INTERNAL_SERVER_ERROR, body)
    }
}

/// Some of the checks of a real API server, in its order.
const CHECKS: [&str; 7] = [
    "ping",
    "log",
    "etcd",
    "etcd-readiness",
    "informer-sync",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/rbac/bootstrap-roles",
];
