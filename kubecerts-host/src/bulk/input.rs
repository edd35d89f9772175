//! Requests from a stream of PEM or JSON lines.

use std::io::{self, BufRead, Read};

use kubecerts_core::x509::decode_blocks;
use serde::Deserialize;
use serde_json::error::Category;

use super::output::StreamForm;
use super::{BulkRequest, Content, Prior, ResumeError, Shard};

/// Requests from a stream, in its order.
#[derive(Debug)]
pub struct Requests<R> {
    input: R,
    form: StreamForm,
    position: u64,
    line: Vec<u8>,
    /// What follows on the same line: a block that begins there.
    rest: Vec<u8>,
    /// A `BEGIN` line that was read while its block was waited for to end.
    begun: bool,
    is_over: bool,
}

/// Reads requests from `input`: PEM blocks with any text around them, or a JSON object on each line, which the first byte tells that is
/// no blank.
///
/// A line has `csr`, which is the request as PEM or in base64 (of DER, or of PEM as in Kubernetes' CertificateSigningRequest), and
/// possibly `name`. No line and no block is larger than 64 KiB; what is larger is one request that is refused.
///
/// # Errors
/// [`InputError`] when nothing can be read.
pub fn requests_of<R: BufRead>(mut input: R) -> Result<Requests<R>, InputError> {
    let form = loop {
        let buffer = input.fill_buf().map_err(|error| InputError::read(&error))?;
        let skipped = buffer.strip_prefix(BYTE_ORDER_MARK).map_or(0, |_| BYTE_ORDER_MARK.len());
        let blanks = buffer[skipped..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let first = buffer.get(skipped + blanks).copied();
        let is_empty = buffer.is_empty();
        input.consume(skipped + blanks);
        match first {
            Some(b'{') => break StreamForm::JsonLines,
            Some(_) => break StreamForm::Pem,
            None if is_empty => break StreamForm::Pem,
            None => {}
        }
    };
    Ok(Requests {
        input,
        form,
        position: 0,
        line: Vec::new(),
        rest: Vec::new(),
        begun: false,
        is_over: false,
    })
}

impl<R: BufRead> Requests<R> {
    /// Returns the form of the stream.
    #[must_use]
    pub const fn form(&self) -> StreamForm {
        self.form
    }

    fn request(&mut self, content: Content) -> BulkRequest {
        self.position += 1;
        BulkRequest { position: self.position, name: None, content, prior: Prior::None }
    }

    fn next_line(&mut self) -> Result<Option<BulkRequest>, InputError> {
        loop {
            match self.read_line()? {
                Line::End => return Ok(None),
                Line::TooLong => return Ok(Some(self.request(Content::Broken(too_large("line"))))),
                Line::Whole if self.line.trim_ascii().is_empty() => {}
                Line::Whole => {
                    let line = self.line.clone();
                    return Ok(Some(self.request(Content::Line(line))));
                }
            }
        }
    }

    fn next_block(&mut self) -> Result<Option<BulkRequest>, InputError> {
        let mut is_alone = true;
        while !self.begun {
            match self.read_line()? {
                Line::End => return Ok(None),
                Line::TooLong => return Ok(Some(self.request(Content::Broken(too_large("line"))))),
                Line::Whole if self.line.starts_with(BEGIN) => self.begun = true,
                Line::Whole if find(&self.line, END).is_some() => {
                    let reason = "a PEM block ends here that does not begin".to_owned();
                    return Ok(Some(self.request(Content::Broken(reason))));
                }
                Line::Whole => is_alone = self.rest.is_empty(),
            }
        }
        self.begun = false;
        let wrong = if is_alone { wrong_first_line(&self.line) } else { Some(NOT_ALONE.to_owned()) };
        let mut block = self.line.clone();
        let mut is_large = false;
        let mut is_closed = find(&self.line, END).is_some();
        while !is_closed {
            match self.read_line()? {
                Line::End => break,
                Line::TooLong => is_large = true,
                Line::Whole if self.line.starts_with(BEGIN) => {
                    self.begun = true;
                    break;
                }
                Line::Whole => {
                    is_large |= block.len() + self.line.len() > LARGEST;
                    // Whatever else it is, it may be a secret, and is not kept.
                    if !is_large && wrong.is_none() {
                        block.extend_from_slice(&self.line);
                    }
                    is_closed = find(&self.line, END).is_some();
                }
            }
        }
        let content = match wrong {
            Some(reason) => Content::Broken(reason),
            None if is_large => Content::Broken(too_large("PEM block")),
            None => Content::Request(block),
        };
        Ok(Some(self.request(content)))
    }

    /// Reads the next line into `self.line`, without keeping more of it than is allowed.
    ///
    /// Where a block begins a line begins too: files that do not end with a line feed may stand one behind the other.
    fn read_line(&mut self) -> Result<Line, InputError> {
        self.line.clear();
        if self.rest.is_empty() {
            let failed = |error: io::Error| InputError::read(&error);
            let read = self.input.by_ref().take(LARGEST as u64).read_until(b'\n', &mut self.line);
            let read = read.map_err(failed)?;
            if read == 0 {
                return Ok(Line::End);
            }
            if read == LARGEST && !self.line.ends_with(b"\n") {
                self.line.clear();
                self.input.skip_until(b'\n').map_err(failed)?;
                return Ok(Line::TooLong);
            }
        } else {
            std::mem::swap(&mut self.line, &mut self.rest);
        }
        if self.form == StreamForm::Pem
            && let Some(begin) = self.line.get(1..).and_then(|line| find(line, BEGIN))
        {
            self.rest = self.line.split_off(begin + 1);
        }
        Ok(Line::Whole)
    }
}

/// Returns what is wrong with the first line of a block, which is quoted only where it cannot be a secret.
fn wrong_first_line(line: &[u8]) -> Option<String> {
    let label = line.trim_ascii_end().strip_prefix(BEGIN).and_then(|label| label.strip_suffix(DASHES));
    let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ';
    let label =
        label.filter(|label| label.len() <= LONGEST_LABEL && label.iter().all(|byte| is_plain(*byte)));
    match label {
        Some(b"CERTIFICATE REQUEST" | b"NEW CERTIFICATE REQUEST") => None,
        Some(label) => {
            Some(format!("a PEM block {} is no certificate request", String::from_utf8_lossy(label)))
        }
        None => Some(NOT_ALONE.to_owned()),
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    // Most lines have no dash, which is found out much faster.
    let first = part.first()?;
    let at = text.contains(first).then(|| text.windows(part.len()).position(|window| window == part));
    at.flatten()
}

impl<R: BufRead> Iterator for Requests<R> {
    type Item = Result<BulkRequest, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = match self.form {
            StreamForm::Pem => self.next_block(),
            StreamForm::JsonLines => self.next_line(),
        };
        self.is_over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

enum Line {
    Whole,
    TooLong,
    End,
}

/// Returns the request on a line of JSON, and its name.
pub(super) fn parse_line(line: &[u8]) -> Result<(Vec<u8>, Option<String>), String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        csr: String,
        name: Option<String>,
    }
    let Asked { csr, name } = serde_json::from_slice(line)
        .map_err(|error| format!("the line is no request in JSON: {}", json_problem(&error)))?;
    if csr.trim_start().as_bytes().starts_with(BEGIN) {
        return Ok((csr.into_bytes(), name));
    }
    let block = format!("-----BEGIN CERTIFICATE REQUEST-----\n{csr}\n-----END CERTIFICATE REQUEST-----\n");
    let decoded = decode_blocks(block.as_bytes()).into_iter().next().and_then(Result::ok);
    let decoded = decoded.ok_or_else(|| "csr is neither PEM nor base64".to_owned())?;
    Ok((decoded.secret_bytes().to_vec(), name))
}

/// Says what is wrong with a line of JSON. The error's own text quotes what stands there, which may be a secret.
pub(super) fn json_problem(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Eof => "it ends too early",
        Category::Data => "a wrong field or value",
        Category::Syntax | Category::Io => "no JSON",
    };
    format!("{what} at column {}", error.column())
}

fn too_large(what: &str) -> String {
    format!("the {what} is larger than {} KiB", LARGEST / 1024)
}

/// Why there are no more requests.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// They cannot be read.
    #[error("cannot read the requests: {0}")]
    Read(String),
    /// What a run before this one left does not belong to them.
    #[error(transparent)]
    Leftover(#[from] ResumeError),
}

impl InputError {
    pub(super) fn read(error: &io::Error) -> Self {
        Self::Read(error.to_string())
    }
}

/// No line and no block is larger, in bytes. A request with an RSA key of 8192 bits and a hundred names has 8 KiB.
pub(super) const LARGEST: usize = 64 << 10;

/// No label in use is longer, in bytes.
const LONGEST_LABEL: usize = 64;

const NOT_ALONE: &str = "a PEM block whose first line is not alone on its line is no certificate request";

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Leaves out the requests that belong to other parts than `shard`; without one all stay. Failures stay in any case.
pub fn of_shard<I>(
    requests: I,
    shard: Option<Shard>,
) -> impl Iterator<Item = Result<BulkRequest, InputError>> + use<I>
where
    I: Iterator<Item = Result<BulkRequest, InputError>>,
{
    requests.filter(move |request| match (request, shard) {
        (Ok(request), Some(shard)) => shard.has(request.position),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8]) -> Vec<Content> {
        // A small buffer shows what depends on where it ends.
        let requests = requests_of(io::BufReader::with_capacity(7, input)).unwrap();
        requests
            .enumerate()
            .map(|(index, request)| {
                let request = request.unwrap();
                assert_eq!(request.position, index as u64 + 1);
                request.content
            })
            .collect()
    }

    const ONE: &str = "-----BEGIN CERTIFICATE REQUEST-----\nAAEC\n-----END CERTIFICATE REQUEST-----\n";

    #[test]
    fn text_around_blocks_is_skipped_and_each_block_is_a_request() {
        let found = all(format!("\n\n noise\r\n{ONE}text\n{ONE}{ONE}end").as_bytes());
        assert_eq!(found.len(), 3);
        assert!(
            found.iter().all(|content| matches!(content, Content::Request(block) if block == ONE.as_bytes()))
        );
        assert_eq!(all(b"").len(), 0);
        assert_eq!(all(b" \n\t").len(), 0);
    }

    #[test]
    fn a_block_without_an_end_does_not_swallow_the_next() {
        let cut = "-----BEGIN CERTIFICATE REQUEST-----\nAAEC\n";
        let found = all(format!("{cut}{ONE}{cut}").as_bytes());
        assert_eq!(found.len(), 3);
        assert!(matches!(&found[0], Content::Request(block) if block == cut.as_bytes()));
        assert!(matches!(&found[1], Content::Request(block) if block == ONE.as_bytes()));
    }

    #[test]
    fn what_is_no_request_or_too_large_is_refused_and_not_kept() {
        let key = ONE.replace("CERTIFICATE REQUEST", "PRIVATE KEY");
        let large = ONE.replace("AAEC", &"AAEC\n".repeat(20_000));
        let long = ONE.replace("AAEC", &"A".repeat(200_000));
        let found = all(format!("{key}{large}{long}{ONE}").as_bytes());
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(reason(&found[0]), "a PEM block PRIVATE KEY is no certificate request");
        assert_eq!(reason(&found[1]), "the PEM block is larger than 64 KiB");
        assert_eq!(reason(&found[2]), "the PEM block is larger than 64 KiB");
        assert!(matches!(&found[3], Content::Request(_)));
    }

    fn reason(content: &Content) -> &str {
        match content {
            Content::Broken(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_secret_is_quoted() {
        let secret = "MIGHAgEAMBMGByqGSM49";
        let lines = [
            format!("-----BEGIN PRIVATE KEY-----{secret}-----END PRIVATE KEY-----\n"),
            format!("-----BEGIN PRIVATE KEY-----{secret}\n-----END PRIVATE KEY-----\n"),
            format!("-----BEGIN {secret}\n-----END X-----\n"),
            format!("-----BEGIN {}-----\n-----END X-----\n", "MIGH".repeat(17)),
            format!("key: -----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n"),
        ];
        for line in lines {
            let found = all(format!("{line}{ONE}").as_bytes());
            assert_eq!(found.len(), 2, "{found:?}");
            assert_eq!(reason(&found[0]), NOT_ALONE);
            assert!(matches!(&found[1], Content::Request(block) if block == ONE.as_bytes()));
        }
        for line in [
            format!("{{\"csr\":{{\"{secret}\":1}}}}"),
            format!("{{\"csr\":\"\",\"{secret}\":1}}"),
            format!("\"{secret}\""),
            format!("{{{secret}"),
        ] {
            let reason = parse_line(line.as_bytes()).unwrap_err();
            assert!(!reason.contains(&secret[..4]), "{reason}");
        }
    }

    #[test]
    fn files_without_a_line_feed_at_their_ends_lose_no_request() {
        let bare = ONE.trim_end();
        for (text, count) in [(bare.repeat(3), 3), (format!("{bare}{bare}\n{bare}{ONE}"), 4)] {
            let found = all(text.as_bytes());
            assert_eq!(found.len(), count, "{found:?}");
            let is_one = |content: &Content| matches!(content, Content::Request(block) if block.trim_ascii_end() == bare.as_bytes());
            assert!(found.iter().all(is_one), "{found:?}");
        }
        let cut = "-----BEGIN CERTIFICATE REQUEST-----\nAAEC";
        let found = all(format!("{cut}{ONE}").as_bytes());
        assert!(
            matches!(&found[..], [Content::Request(first), Content::Request(second)]
            if first == cut.as_bytes() && second == ONE.as_bytes()),
            "{found:?}"
        );
    }

    #[test]
    fn a_block_that_is_no_block_of_its_own_is_one_refused_request() {
        let indented: String = ONE.lines().map(|line| format!("  {line}\n")).collect();
        // The blanks before the first thing in a stream do not count.
        let found = all(format!("requests\n{indented}{ONE}{indented}{indented}").as_bytes());
        assert_eq!(found.len(), 4, "{found:?}");
        for index in [0, 2, 3] {
            assert_eq!(reason(&found[index]), NOT_ALONE);
        }
        assert!(matches!(&found[1], Content::Request(block) if block == ONE.as_bytes()));
        let found = all(format!("AAEC\n -----END CERTIFICATE REQUEST-----\n{ONE}").as_bytes());
        assert_eq!((found.len(), reason(&found[0])), (2, "a PEM block ends here that does not begin"));
        let found = all(ONE.replace('\n', "\r").repeat(2).as_bytes());
        assert_eq!((found.len(), reason(&found[0]), reason(&found[1])), (2, NOT_ALONE, NOT_ALONE));
        let found = all(format!("x{}\n{ONE}", "A".repeat(70_000)).as_bytes());
        assert_eq!((found.len(), reason(&found[0])), (2, "the line is larger than 64 KiB"));
    }

    #[test]
    fn lines_of_json_are_told_by_the_first_byte() {
        let found = all(b"\xef\xbb\xbf\n {\"csr\":\"AAEC\"}\n\n{\"csr\":\"x\"}");
        assert_eq!(found.len(), 2);
        let long = format!("{{\"csr\":\"{}\"}}\n{{}}\n", "A".repeat(70_000));
        let found = all(long.as_bytes());
        assert!(matches!(&found[0], Content::Broken(reason) if reason == "the line is larger than 64 KiB"));
        assert!(matches!(&found[1], Content::Line(_)));
    }

    #[test]
    fn a_line_has_its_request_in_pem_or_base64() {
        let der = vec![0, 1, 2];
        assert_eq!(parse_line(br#"{"csr":"AAEC"}"#), Ok((der.clone(), None)));
        assert_eq!(parse_line(br#"{"name":"n","csr":" AA\nEC\n"}"#), Ok((der, Some("n".to_owned()))));
        let line = serde_json::json!({ "csr": ONE }).to_string();
        assert_eq!(parse_line(line.as_bytes()), Ok((ONE.as_bytes().to_vec(), None)));
        for wrong in ["{}", "{\"csr\":7}", "{\"csr\":\"?\"}", "[", "{\"csr\":\"AAEC\",\"nmae\":\"\"}", "\"\""]
        {
            assert!(parse_line(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
