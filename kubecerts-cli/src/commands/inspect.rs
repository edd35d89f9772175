//! `kubecerts inspect`

use std::io::Read;
use std::path::PathBuf;

use kubecerts_core::inspection::{Inspection, inspect};
use kubecerts_core::secret::SecretBytes;
use kubecerts_host::disk::FILE_LIMIT;

use crate::args::Form;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{documents, text};

/// Show one certificate, key, kubeconfig or request in full; of a private key only the public half.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file, or `-` for standard input. Whatever is in it is shown: bundles, text around PEM, bare DER.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { file, output: form } = args;
    let items: Vec<Inspection> = if file.as_os_str() == "-" {
        inspect(read_stdin()?.secret_bytes())
    } else {
        let (_, state) = kubecerts_host::read_file(file)?;
        inspect(state.content().map(|content| content.secret_bytes()).unwrap_or_default())
    };
    if items.is_empty() {
        return Err(CommandError::failed(format!(
            "{} holds no certificate, key, kubeconfig or request",
            file.display()
        ))
        .with_hint("PEM blocks begin with -----BEGIN"));
    }
    match form {
        Form::Text => output.data(&text::inspection(&items)),
        Form::Json => output.data(&documents::inspection(&items).to_json()),
    }
    let damaged = items.iter().any(|item| matches!(item, Inspection::Damaged { .. }));
    Ok(if damaged { Exit::Unusable } else { Exit::Fine })
}

pub(super) fn read_stdin() -> Result<SecretBytes, CommandError> {
    let limit = FILE_LIMIT;
    // It may be a key: the room is made at once, so that no growing leaves a copy behind.
    let mut bytes = Vec::with_capacity(usize::try_from(limit).unwrap_or(0) + 1);
    let read = std::io::stdin().lock().take(limit + 1).read_to_end(&mut bytes);
    let bytes = SecretBytes::new(bytes);
    read.map_err(|error| CommandError::failed(format!("cannot read standard input: {error}")))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
        return Err(CommandError::failed(format!("standard input is longer than {limit} bytes"))
            .with_hint("pass one file and nothing else"));
    }
    Ok(bytes)
}
