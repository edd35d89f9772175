//! Crontabs (`crontab(5)`).

use super::script::text_of;

/// A line of a crontab: when, and what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CronEntry {
    /// The five fields, or a word such as `@daily`.
    pub(crate) schedule: String,
    /// The command.
    pub(crate) command: String,
}

/// Parses a crontab; a system's has the user before the command. What is no entry is passed over.
pub(crate) fn parse(bytes: &[u8], has_user: bool) -> Vec<CronEntry> {
    let text = text_of(bytes);
    text.lines().filter_map(|line| entry(line.trim(), has_user)).collect()
}

fn entry(line: &str, has_user: bool) -> Option<CronEntry> {
    let begins_a_schedule =
        |byte: u8| byte.is_ascii_digit() || byte.is_ascii_alphabetic() || matches!(byte, b'*' | b'@');
    if !line.bytes().next().is_some_and(begins_a_schedule) {
        return None;
    }
    let fields = if line.starts_with('@') { 1 } else { 5 };
    let mut rest = line;
    let mut schedule = Vec::with_capacity(fields);
    for _ in 0..fields {
        let field;
        (field, rest) = split_field(rest)?;
        schedule.push(field);
    }
    // `MAILTO=root` and the like; `PATH = a b c d e` too.
    if schedule.iter().any(|field| field.contains('=')) {
        return None;
    }
    if has_user {
        (_, rest) = split_field(rest)?;
    }
    (!rest.is_empty()).then(|| CronEntry { schedule: schedule.join(" "), command: rest.to_owned() })
}

fn split_field(text: &str) -> Option<(&str, &str)> {
    let (field, rest) = text.split_once([' ', '\t'])?;
    Some((field, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_told_from_variables_and_comments() {
        let text = b"SHELL=/bin/sh\nPATH = /a /b /c /d /e /f\n# 1 2 3 4 5 root x\n\n0 3 1 * *\troot  /opt/renew.sh now\n@daily root /opt/x\n0 3\n";
        let found = parse(text, true);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0],
            CronEntry { schedule: "0 3 1 * *".to_owned(), command: "/opt/renew.sh now".to_owned() }
        );
        assert_eq!(found[1].schedule, "@daily");
        assert_eq!(parse(b"0 3 1 * * root /opt/x", false)[0].command, "root /opt/x");
    }
}
