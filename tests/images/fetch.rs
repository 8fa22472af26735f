//! Downloads from a server of our own: whole, broken off and resumed, wrong, and no server at all.

use crate::support::Place;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// What the server does.
#[derive(Clone, Default)]
struct Manner {
    content: Vec<u8>,
    /// It hangs up after so many bytes of a body.
    most: Option<usize>,
    /// It knows no ranges.
    no_ranges: bool,
    /// It answers with this status and nothing else.
    status: Option<u16>,
}

/// A server on a free port; its address, and the `Range` headers it saw.
fn serve(manner: Manner) -> (String, Arc<Mutex<Vec<Option<String>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file", listener.local_addr().unwrap());
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ranges);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &manner, &seen);
        }
    });
    (url, ranges)
}

fn answer(mut stream: TcpStream, manner: &Manner, seen: &Mutex<Vec<Option<String>>>) -> std::io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    let lines: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let range = lines.iter().find_map(|line| line.to_lowercase().strip_prefix("range: ").map(String::from));
    seen.lock().unwrap().push(range.clone());
    if let Some(status) = manner.status {
        return write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let start = range.filter(|_| !manner.no_ranges).and_then(|range| range[6..].trim_end_matches('-').parse().ok());
    let total = manner.content.len();
    let body = &manner.content[start.unwrap_or(0).min(total)..];
    match start {
        Some(start) if start >= total => write!(stream, "HTTP/1.1 416 No\r\nContent-Length: 0\r\n")?,
        Some(start) => write!(stream, "HTTP/1.1 206 Part\r\nContent-Range: bytes {start}-{}/{total}\r\n", total - 1)?,
        None => write!(stream, "HTTP/1.1 200 OK\r\n")?,
    }
    write!(stream, "Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body[..manner.most.unwrap_or(body.len()).min(body.len())])
}

/// Fetches under the name of the table, whose size is not published but whose checksum is: no file made here has it.
fn fetch(place: &Place, url: &str, target: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_graphpnas-fast"));
    command.args(["data", "fetch", "nasbench101", "--out", &place.arg(target), "--from", url]);
    for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// What the library makes of a download whose checksum is this one's.
mod library {
    use super::*;
    use graphpnas_fast::data::{Digest, Download, FetchError, Progress};

    /// 300,000 bytes that are not all alike; their SHA-256 by `sha256sum`.
    fn content() -> Vec<u8> {
        (0..300_000u32).map(|index| (index.wrapping_mul(index) >> 7) as u8).collect()
    }

    const SHA256: &str = "d5397f395028a36a877582420027c07a9dffa109caf6625ee9fb42ba86859168";
    const MD5: &str = "80681a347dd84e045afa0fe1f9efe49e";

    fn download(digest: Digest, bytes: Option<u64>) -> Download {
        Download { name: "test", url: "https://localhost:9/none", bytes, digest }
    }

    fn get(place: &Place, download: Download, url: &str) -> Result<Vec<Progress>, FetchError> {
        let mut progress = Vec::new();
        download.fetch(&place.path("got/file"), Some(url), &mut |state| progress.push(state))?;
        assert!(!place.path("got/file.part").exists());
        Ok(progress)
    }

    #[test]
    fn a_whole_download_is_verified() {
        for (digest, bytes) in [(Digest::Sha256(SHA256), None), (Digest::Md5(MD5), Some(300_000))] {
            let place = Place::new();
            let (url, ranges) = serve(Manner { content: content(), ..Manner::default() });
            let progress = get(&place, download(digest, bytes), &url).unwrap();
            assert_eq!(std::fs::read(place.path("got/file")).unwrap(), content());
            assert_eq!(*ranges.lock().unwrap(), [None]);
            let last = progress.last().unwrap();
            assert_eq!((last.done, last.total), (300_000, Some(300_000)));
        }
    }

    #[test]
    fn a_download_that_broke_off_goes_on_where_it_ended() {
        let place = Place::new();
        let (url, _) = serve(Manner { content: content(), most: Some(120_000), ..Manner::default() });
        let error = get(&place, download(Digest::Sha256(SHA256), None), &url).unwrap_err();
        assert!(matches!(error, FetchError::Broken { done: 120_000, .. }), "{error}");
        assert!(error.to_string().contains("broke off after 120000 bytes"), "{error}");
        // It breaks off again, further on.
        let error = get(&place, download(Digest::Sha256(SHA256), None), &url).unwrap_err();
        assert!(matches!(error, FetchError::Broken { done: 240_000, .. }), "{error}");
        let (url, ranges) = serve(Manner { content: content(), ..Manner::default() });
        let progress = get(&place, download(Digest::Sha256(SHA256), None), &url).unwrap();
        assert_eq!(*ranges.lock().unwrap(), [Some("bytes=240000-".to_string())]);
        assert!(progress.first().unwrap().done > 240_000);
        assert_eq!(std::fs::read(place.path("got/file")).unwrap(), content());
    }

    #[test]
    fn a_server_without_ranges_begins_anew() {
        let place = Place::new();
        place.write("got/file.part", &content()[..100_000]);
        let (url, ranges) = serve(Manner { content: content(), no_ranges: true, ..Manner::default() });
        get(&place, download(Digest::Sha256(SHA256), None), &url).unwrap();
        assert_eq!(ranges.lock().unwrap().len(), 1);
        assert_eq!(std::fs::read(place.path("got/file")).unwrap(), content());
    }

    #[test]
    fn a_part_that_is_all_there_is_only_verified() {
        for bytes in [None, Some(300_000)] {
            let place = Place::new();
            place.write("got/file.part", content());
            let (url, ranges) = serve(Manner { content: content(), ..Manner::default() });
            get(&place, download(Digest::Sha256(SHA256), bytes), &url).unwrap();
            assert_eq!(ranges.lock().unwrap().len(), usize::from(bytes.is_none()));
        }
    }

    #[test]
    fn another_file_is_refused_and_removed() {
        let mut other = content();
        other[7] ^= 1;
        for (content, bytes, part) in
            [(other, None, "its checksum is"), (content()[1..].to_vec(), Some(300_000), "299999 bytes, not 300000")]
        {
            let place = Place::new();
            let (url, _) = serve(Manner { content, ..Manner::default() });
            let error = get(&place, download(Digest::Sha256(SHA256), bytes), &url).unwrap_err();
            assert!(matches!(error, FetchError::Other { .. }) && error.to_string().contains(part), "{error}");
            assert_eq!(std::fs::read_dir(place.path("got")).unwrap().count(), 0);
        }
    }
}

#[test]
fn the_command_refuses_another_file_in_one_line() {
    let place = Place::new();
    let (url, _) = serve(Manner { content: b"not the table".to_vec(), ..Manner::default() });
    let (code, said) = fetch(&place, &url, "table");
    let published = "sha256 4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1";
    assert!(code == Some(1) && said.contains(published) && said.lines().count() == 1, "{said}");
    assert!(!place.path("table").exists() && !place.path("table.part").exists());
}

#[test]
fn without_a_server_it_says_what_to_put_where() {
    let place = Place::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, said) = fetch(&place, &format!("http://127.0.0.1:{port}/file"), "table");
    let remedy = format!(
        "sha256 4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1) and put it at {}",
        place.arg("table")
    );
    assert!(code == Some(1) && said.starts_with("error: cannot download") && said.contains(&remedy), "{said}");
    let (url, _) = serve(Manner { status: Some(404), ..Manner::default() });
    let (code, said) = fetch(&place, &url, "table");
    assert!(code == Some(1) && said.contains("the server answers with status 404"), "{said}");
}

#[test]
fn what_is_there_already_is_verified() {
    let place = Place::new();
    place.write("table", "something else");
    let (code, said) = fetch(&place, "http://127.0.0.1:9/", "table");
    assert!(code == Some(1) && said.contains("table is there, but its checksum is"), "{said}");
    let output = Command::new(env!("CARGO_BIN_EXE_graphpnas-fast")).args(["data", "fetch", "mnist"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && said.contains("cifar10, tiny-imagenet, nasbench101, fashion-mnist"),
        "{said}"
    );
}

#[test]
fn the_list_names_what_can_be_had() {
    let place = Place::new();
    place.write("graphpnas-fast/tiny-imagenet-200.zip.part", "x");
    place.write("graphpnas-fast/cifar-10-binary.tar.gz", "x");
    let mut command = Command::new(env!("CARGO_BIN_EXE_graphpnas-fast"));
    let output = command.args(["data", "list", "--json"]).env("XDG_CACHE_HOME", place.path("")).output().unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let entry = |name: &str| listed.as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap().clone();
    assert_eq!(entry("tiny-imagenet")["state"], "part");
    assert_eq!(entry("tiny-imagenet")["bytes"], 248_100_043);
    assert_eq!(entry("cifar10")["state"], "other size");
    assert_eq!(entry("nasbench101")["state"], "absent");
    assert!(entry("nasbench101")["place"].as_str().unwrap().ends_with("graphpnas-fast/nasbench_only108.tfrecord"));
}
