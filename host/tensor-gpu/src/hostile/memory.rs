//! Memory that several invocations share, and who touched it: a data race is found, whatever it did.

/// Words with the invocations that read and wrote them since the last synchronisation.
#[derive(Debug)]
pub(super) struct Shared {
    name: String,
    words: Vec<u32>,
    written: Vec<Access>,
    read: Vec<Access>,
    epoch: u32,
    initialised: Vec<bool>,
}

/// Who, and when; several readers are nobody in particular.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Access {
    epoch: u32,
    invocation: u32,
}

const SEVERAL: u32 = u32::MAX;

impl Shared {
    /// Memory that the host filled.
    pub(super) fn filled(name: String, words: Vec<u32>) -> Shared {
        let mut shared = Shared::empty(name, words.len());
        shared.initialised.fill(true);
        shared.words = words;
        shared
    }

    /// Memory that holds nothing yet: reading it before writing is an error.
    pub(super) fn empty(name: String, length: usize) -> Shared {
        Shared {
            name,
            words: vec![0; length],
            written: vec![Access::default(); length],
            read: vec![Access::default(); length],
            epoch: 1,
            initialised: vec![false; length],
        }
    }

    pub(super) fn into_words(self) -> Vec<u32> {
        self.words
    }

    /// From here on, what was done before cannot race with what is done next.
    pub(super) fn synchronise(&mut self) {
        self.epoch += 1;
    }

    /// Nothing in it is defined any more: the memory of the next workgroup.
    pub(super) fn forget(&mut self) {
        self.initialised.fill(false);
        self.synchronise();
    }

    pub(super) fn read(&mut self, at: usize, invocation: u32) -> u32 {
        assert!(at < self.words.len(), "{} is read at {at} of {}", self.name, self.words.len());
        assert!(self.initialised[at], "{} is read at {at} before it is written", self.name);
        let writer = self.written[at];
        let raced = writer.epoch == self.epoch && writer.invocation != invocation;
        assert!(!raced, "{} at {at} is read while another invocation writes it", self.name);
        let reader = &mut self.read[at];
        let same = reader.epoch != self.epoch || reader.invocation == invocation;
        *reader = Access { epoch: self.epoch, invocation: if same { invocation } else { SEVERAL } };
        self.words[at]
    }

    pub(super) fn write(&mut self, at: usize, word: u32, invocation: u32) {
        assert!(at < self.words.len(), "{} is written at {at} of {}", self.name, self.words.len());
        for other in [self.written[at], self.read[at]] {
            let raced = other.epoch == self.epoch && other.invocation != invocation;
            assert!(!raced, "{} at {at} is written while another invocation uses it", self.name);
        }
        self.written[at] = Access { epoch: self.epoch, invocation };
        self.initialised[at] = true;
        self.words[at] = word;
    }
}
