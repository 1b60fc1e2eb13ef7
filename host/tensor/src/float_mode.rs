//! The floating-point mode of a thread: its control register, which says how operations round, whether they flush
//! subnormal numbers to zero, and which exceptions trap. Read, compared with the one that results are defined by,
//! and set right again.
//!
//! Rust and WebAssembly take the mode for granted; a library in the same process may change it at any call, and
//! from its constructor when it is loaded (what `-ffast-math` links does), and threads inherit the mode of whoever
//! starts them. So whoever computes looks when its thread begins, and after each call that could have reached a
//! library: [`check`] sets a wrong mode right, and says between which calls it came about. A wrong mode is the
//! machine's fault, never a result, although it was set right: what else the library did is not known.
//!
//! The register is MXCSR on x86-64 and FPCR on ARM64; without its flags, which record what happened and change
//! nothing. The x87 unit has modes of its own, and nothing here computes with it. On other processors no register
//! is known, and nothing is found; no stranger's work is run there.
#![cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(
        unsafe_code,
        reason = "control registers are read and written by instructions that have no safe form"
    )
)]

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use thiserror::Error;

/// The bits of a thread's control register that change what is computed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FloatMode(u64);

/// A thread computed, or was about to, in another mode than results are defined by. It has been set right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the floating-point mode of a thread was changed by {culprit}: {found}. A library in this process does that, \
     like a Vulkan layer or a preloaded library that was linked with -ffast-math; find it and leave it out \
     (VK_LOADER_LAYERS_DISABLE=~all~ leaves out Vulkan's layers; see LD_PRELOAD and /etc/ld.so.preload)"
)]
pub struct WrongMode {
    /// The call, or what else happened since the mode was right.
    pub culprit: &'static str,
    /// The mode that was found.
    pub found: FloatMode,
}

/// What changed a mode that was wrong before a program did anything.
pub const AT_START: &str = "a library that was loaded with the program";

/// Sets this thread's mode right; says whether it was, and if not, what came last.
///
/// # Errors
/// It was not.
pub fn check(culprit: &'static str) -> Result<(), WrongMode> {
    let found = FloatMode::of_this_thread();
    if found == FloatMode::CANONICAL {
        return Ok(());
    }
    write(FloatMode::CANONICAL.0);
    Err(WrongMode { culprit, found })
}

/// The first wrong mode that one of several threads found, for the one that waits for them.
#[derive(Debug, Default)]
pub struct FirstWrong(Mutex<Option<WrongMode>>);

impl FirstWrong {
    /// As [`check`], for a thread that nobody asks.
    pub fn check(&self, culprit: &'static str) {
        if let Err(wrong) = check(culprit) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(wrong);
        }
    }

    /// What was found since it was asked last.
    ///
    /// # Errors
    /// The first that was found.
    pub fn result(&self) -> Result<(), WrongMode> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

impl FloatMode {
    /// The mode by which results are defined: to nearest, ties to even, with subnormal numbers, without traps.
    pub const CANONICAL: FloatMode = FloatMode(register::CANONICAL);

    /// The mode of the thread that asks.
    pub fn of_this_thread() -> FloatMode {
        FloatMode(register::read() & !register::FLAGS)
    }

    /// Modes that a library could leave: each rounding, each flushing, a trap. For tests.
    #[doc(hidden)]
    pub fn others_for_tests() -> impl Iterator<Item = FloatMode> {
        register::OTHERS.iter().map(|bits| FloatMode(register::CANONICAL ^ bits))
    }

    /// Does to this thread what a library does, for tests alone: Rust does not promise what floats are afterwards.
    #[doc(hidden)]
    pub fn set_for_tests(self) {
        write(self.0);
    }

    /// The register's content.
    pub fn bits(self) -> u64 {
        self.0
    }
}

fn write(bits: u64) {
    register::write(bits);
}

impl fmt::Display for FloatMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed = self.0 ^ register::CANONICAL;
        let mut rest = changed;
        for &(bits, words) in register::WORDS {
            if changed & bits == bits && rest & bits != 0 {
                rest &= !bits;
                write!(f, "it {words}, ")?;
            }
        }
        write!(f, "{} is {:#x} in place of {:#x}", register::NAME, self.0, register::CANONICAL)
    }
}

impl fmt::Debug for FloatMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FloatMode({self})")
    }
}

#[cfg(target_arch = "x86_64")]
mod register {
    //! MXCSR.

    use std::arch::asm;

    pub const NAME: &str = "MXCSR";
    /// What happened: exceptions that did not trap.
    pub const FLAGS: u64 = 0x3f;
    /// All exceptions masked, nothing else.
    pub const CANONICAL: u64 = 0x1f80;
    /// Combinations before their parts.
    pub const WORDS: &[(u64, &str)] = &[
        (1 << 15, "flushes subnormal results to zero"),
        (1 << 6, "takes subnormal operands for zero"),
        (3 << 13, "rounds towards zero"),
        (1 << 14, "rounds up"),
        (1 << 13, "rounds down"),
        (1 << 12, "traps where a result is inexact"),
        (1 << 11, "traps at underflow"),
        (1 << 10, "traps at overflow"),
        (1 << 9, "traps at a division by zero"),
        (1 << 8, "traps at a subnormal operand"),
        (1 << 7, "traps at an invalid operation"),
    ];
    /// Changes of the canonical one.
    pub const OTHERS: &[u64] =
        &[1 << 15, 1 << 6, 1 << 15 | 1 << 6, 1 << 13, 1 << 14, 3 << 13, 1 << 9, 1 << 15 | 3 << 13];

    pub fn read() -> u64 {
        let mut bits = 0u32;
        // SAFETY: the instruction stores four bytes at the address of a variable of four bytes.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut bits, options(nostack, preserves_flags)) };
        u64::from(bits)
    }

    pub fn write(bits: u64) {
        let bits = bits as u32;
        // SAFETY: the instruction loads four bytes from the address of a variable of four bytes. They are the bits
        // of the default mode, which is the one that Rust expects, or, in tests, others that the processor has.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const bits, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod register {
    //! FPCR. What happened is in another register, FPSR.

    use std::arch::asm;

    pub const NAME: &str = "FPCR";
    pub const FLAGS: u64 = 0;
    pub const CANONICAL: u64 = 0;
    /// Combinations before their parts.
    pub const WORDS: &[(u64, &str)] = &[
        (1 << 24, "flushes subnormal numbers to zero"),
        (1 << 19, "flushes subnormal half-precision numbers to zero"),
        (1 << 0, "flushes subnormal operands to zero"),
        (1 << 25, "replaces NaNs"),
        (3 << 22, "rounds towards zero"),
        (1 << 23, "rounds down"),
        (1 << 22, "rounds up"),
        (1 << 12, "traps where a result is inexact"),
        (1 << 11, "traps at underflow"),
        (1 << 10, "traps at overflow"),
        (1 << 9, "traps at a division by zero"),
        (1 << 8, "traps at an invalid operation"),
    ];
    /// Changes of the canonical one. Traps are not among them: few processors have them.
    pub const OTHERS: &[u64] = &[1 << 24, 1 << 22, 1 << 23, 3 << 22, 1 << 24 | 1 << 25];

    pub fn read() -> u64 {
        let bits: u64;
        // SAFETY: reads a register that every program may read.
        unsafe { asm!("mrs {}, fpcr", out(reg) bits, options(nomem, nostack, preserves_flags)) };
        bits
    }

    pub fn write(bits: u64) {
        // SAFETY: writes a register that every program may write. They are the bits of the default mode, which is
        // the one that Rust expects, or, in tests, others that the processor has.
        unsafe { asm!("msr fpcr, {}", in(reg) bits, options(nostack, preserves_flags)) };
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod register {
    //! None that is known.

    pub const NAME: &str = "no register";
    pub const FLAGS: u64 = 0;
    pub const CANONICAL: u64 = 0;
    pub const WORDS: &[(u64, &str)] = &[];
    pub const OTHERS: &[u64] = &[];

    pub fn read() -> u64 {
        CANONICAL
    }

    pub fn write(_bits: u64) {}
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, thread};

    use super::*;

    /// On a thread of its own, so that no other test computes in this mode.
    fn disturbed<T: Send>(mode: FloatMode, act: impl FnOnce() -> T + Send) -> T {
        let run = || {
            mode.set_for_tests();
            let done = act();
            write(FloatMode::CANONICAL.0);
            done
        };
        thread::scope(|scope| scope.spawn(run).join().expect("it does not panic"))
    }

    #[test]
    fn every_mode_is_found_named_and_set_right() {
        assert!(check("nothing").is_ok());
        let mut words = Vec::new();
        for mode in FloatMode::others_for_tests() {
            let (first, second) = disturbed(mode, || (check("a call"), check("another")));
            assert_eq!(first, Err(WrongMode { culprit: "a call", found: mode }));
            assert_eq!(second, Ok(()), "{mode} was not set right");
            words.push(first.expect_err("it was wrong").to_string());
        }
        assert!(words.iter().all(|text| text.contains("changed by a call: it ")), "{words:#?}");
        assert!(words.iter().any(|text| text.contains("rounds towards zero")), "{words:#?}");
        words.sort();
        words.dedup();
        assert_eq!(words.len(), FloatMode::others_for_tests().count(), "each is named by its own words");
    }

    /// The register is the one that float arithmetic obeys, or nothing here would show anything.
    #[test]
    fn a_mode_is_inherited_by_threads_and_changes_arithmetic() {
        let third = |of: f32| (black_box(of) / black_box(3.0f32)).to_bits();
        let half = || (black_box(f32::MIN_POSITIVE) * black_box(0.5)).to_bits();
        let arithmetic = move || (third(1.0), third(-1.0), half());
        let canonical = arithmetic();
        for mode in FloatMode::others_for_tests() {
            // One that traps would end the test.
            let traps = cfg!(target_arch = "x86_64") && mode.bits() & 0x1f80 != 0x1f80;
            if traps {
                continue;
            }
            let (inherited, found) = disturbed(mode, || {
                thread::scope(|scope| {
                    let child = scope.spawn(|| (FloatMode::of_this_thread(), arithmetic()));
                    child.join().expect("it does not panic")
                })
            });
            assert_eq!(inherited, mode);
            let flushes_operands_alone = cfg!(target_arch = "x86_64") && mode.bits() & 0xe040 == 0x40;
            assert_eq!(found == canonical, flushes_operands_alone, "{mode}");
        }
    }

    /// Flags are what happened, and happen all the time.
    #[test]
    fn flags_are_no_mode() {
        let _inexact = black_box(1.0f32) / black_box(3.0);
        let _overflow = black_box(f32::MAX) * black_box(2.0);
        assert_eq!(FloatMode::of_this_thread(), FloatMode::CANONICAL);
    }
}
