//! Files that are whole or not there: written under another name, then renamed.

use anyhow::Context;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes a file so that a reader finds the old or the new content, never a part, whenever the process is killed.
pub(super) fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let draft = draft_name(path);
    let result = File::create(&draft)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&draft, path));
    if result.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    result.with_context(|| format!("cannot write {}", path.display()))
}

/// `best.onnx` -> `best.onnx.part`, in the same folder, so that renaming is one step.
fn draft_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Reads a text file of at most `limit` bytes.
pub(super) fn read_text(path: &Path, limit: u64) -> anyhow::Result<String> {
    let name = || format!("cannot read {}", path.display());
    String::from_utf8(read(path, limit)?).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        anyhow::anyhow!("it is not UTF-8 text (byte {place})").context(name())
    })
}

/// Reads a file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    let name = || format!("cannot read {}", path.display());
    let metadata = std::fs::metadata(path).with_context(name)?;
    if metadata.is_dir() {
        return Err(anyhow::anyhow!("it is a directory").context(name()));
    }
    if metadata.len() > limit {
        return Err(anyhow::anyhow!("it has {} bytes, but at most {limit} are read", metadata.len()).context(name()));
    }
    std::fs::read(path).with_context(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_no_draft_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("best.onnx");
        write(&path, b"old and long").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let message = format!("{:#}", write(&folder.path().join("absent/x"), b"").unwrap_err());
        assert!(message.contains("absent"), "{message}");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, b"ab\xff").unwrap();
        for (result, part) in [
            (read_text(&path, 10), "UTF-8 text (byte 2)"),
            (read_text(&path, 2), "3 bytes, but at most 2"),
            (read_text(folder.path(), 10), "it is a directory"),
            (read_text(&folder.path().join("none"), 10), "none"),
        ] {
            let message = format!("{:#}", result.unwrap_err());
            assert!(message.starts_with("cannot read") && message.contains(part), "{message}");
        }
    }
}
