//! The folder against a disk that forgets, and one that is small.

use std::fs;

use super::*;

fn kept(folder: &Folder, bytes: &[u8]) -> Blob {
    let blob = Blob { digest: Digest::of(bytes), bytes: bytes.len() as u64 };
    fs::write(folder.blob(blob.digest), bytes).expect("there is room for a file");
    blob
}

#[test]
fn a_damaged_blob_is_removed_and_a_sound_one_stays() {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = Folder::open(&scratch.path().join("provider")).expect("a folder of a provider");
    let sound = kept(&folder, b"as it came");
    let (flipped, shortened) = (kept(&folder, b"a component"), kept(&folder, b"a state"));
    fs::write(folder.blob(flipped.digest), b"a cOmponent").expect("written");
    fs::write(folder.blob(shortened.digest), b"a st").expect("written");
    let missing = Blob { digest: Digest::of(b"never came"), bytes: 10 };
    for (blob, damaged) in [(sound, false), (flipped, true), (shortened, true), (missing, false)] {
        assert_eq!(folder.remove_damaged(blob), damaged, "{blob:?}");
    }
    assert!(folder.has(sound.digest) && !folder.has(flipped.digest) && !folder.has(shortened.digest));
}

#[test]
fn downloads_that_were_given_up_go_and_needed_ones_stay() {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = Folder::open(&scratch.path().join("provider")).expect("a folder of a provider");
    let part = |digest: Digest| folder.path().join(BLOBS).join(format!("{digest}{PART}"));
    let (given_up, goes_on, blob) = (Digest::of(b"1"), Digest::of(b"2"), kept(&folder, b"whole"));
    fs::write(part(given_up), b"half").expect("written");
    fs::write(part(goes_on), b"half").expect("written");
    folder.trim(1000, &[goes_on].into()).expect("the folder is listed");
    assert!(!part(given_up).exists() && part(goes_on).exists() && folder.has(blob.digest));
    folder.trim(0, &[goes_on].into()).expect("the folder is listed");
    assert!(part(goes_on).exists() && !folder.has(blob.digest));
}
