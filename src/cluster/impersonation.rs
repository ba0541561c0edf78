//! Makes the headers by which a user of a kubeconfig acts as somebody else (`as`, `as-uid`, `as-groups`,
//! `as-user-extra`).
//!
//! The bytes of a name are sent as they are, as client-go does, so that names outside ASCII arrive; kube refuses those.
//! Source: `transport/round_trippers.go` of client-go.

use http::{HeaderName, HeaderValue};
use kube::config::AuthInfo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// The characters that are escaped in the name of a header: `%`, and all that a name cannot carry. `headerKeyEscape` of
/// client-go does the same.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Takes these headers out of a user; none if it acts as itself.
pub(super) fn take(user: &mut AuthInfo) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let (name, uid) = (user.impersonate.take(), user.impersonate_uid.take());
    let (groups, extra) = (user.impersonate_groups.take(), user.impersonate_user_extra.take());
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(Vec::new()) };
    let mut headers = vec![header("as", "impersonate-user", &name)?];
    if let Some(uid) = uid.filter(|uid| !uid.is_empty()) {
        headers.push(header("as-uid", "impersonate-uid", &uid)?);
    }
    for group in groups.into_iter().flatten() {
        headers.push(header("as-groups", "impersonate-group", &group)?);
    }
    for (key, values) in extra.into_iter().flatten() {
        let name = format!("impersonate-extra-{}", percent_encode(key.as_bytes(), ESCAPED));
        for value in values {
            headers.push(header("as-user-extra", &name, &value)?);
        }
    }
    Ok(headers)
}

fn header(key: &str, name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let pair = name.parse().ok().zip(HeaderValue::from_bytes(value.as_bytes()).ok());
    pair.ok_or_else(|| format!("its `{key}` holds a control character, which no HTTP header can carry"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sent(user: Value) -> Result<Vec<String>, String> {
        let headers = take(&mut serde_json::from_value(user).unwrap())?;
        let text = |value: &HeaderValue| String::from_utf8(value.as_bytes().to_vec()).unwrap();
        Ok(headers.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect())
    }

    #[test]
    fn names_arrive_as_they_are_and_keys_escaped() {
        let user = json!({"as": "jürgen", "as-uid": "7", "as-groups": ["a b"], "as-user-extra": {"example.org/x%": ["1", "2"]}});
        assert_eq!(
            sent(user).unwrap(),
            [
                "impersonate-user: jürgen",
                "impersonate-uid: 7",
                "impersonate-group: a b",
                "impersonate-extra-example.org%2fx%25: 1",
                "impersonate-extra-example.org%2fx%25: 2"
            ]
        );
        assert_eq!(sent(json!({"as": ""})).unwrap(), Vec::<String>::new());
        assert!(sent(json!({"as": "a\nb"})).unwrap_err().contains("`as`"));
    }
}
