//! The run-time dependencies in an ELF file: its loader, its libraries, and their search paths.

use object::elf::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, DynamicTag, FileHeader32, FileHeader64,
    PT_LOAD,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, FileKind};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The part of an ELF file that its loader reads first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// The processor and word size, which its libraries must share.
    pub machine: Machine,
    /// The loader (`PT_INTERP`), which a static program does not have.
    pub interpreter: Option<PathBuf>,
    /// The names of its libraries (`DT_NEEDED`).
    pub needed: Vec<OsString>,
    /// The search path of the file and its libraries (`DT_RPATH`, colon-separated).
    pub rpath: Option<OsString>,
    /// The search path of the file alone (`DT_RUNPATH`, colon-separated), which overrides
    /// `DT_RPATH`.
    pub runpath: Option<OsString>,
}

/// The processor (`e_machine`), and whether words have 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    processor: u16,
    wide: bool,
}

/// Parses an ELF file. Returns `None` for a file that neither the kernel nor a loader accepts.
pub fn parse(bytes: &[u8]) -> Option<Elf> {
    match FileKind::parse(bytes).ok()? {
        FileKind::Elf32 => read::<FileHeader32<Endianness>>(bytes),
        FileKind::Elf64 => read::<FileHeader64<Endianness>>(bytes),
        _ => None,
    }
}

fn read<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Option<Elf> {
    let header = H::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, bytes).ok()?;
    let interpreter = segments
        .iter()
        .find_map(|segment| segment.interpreter(endian, bytes).ok().flatten());
    let dynamic = segments
        .iter()
        .find_map(|segment| segment.dynamic(endian, bytes).ok().flatten());
    let dynamic = Dynamic::<H> {
        endian,
        bytes,
        segments,
        entries: dynamic.unwrap_or_default(),
    };
    let strings = dynamic.strings().unwrap_or_default();
    let named = |tag| {
        dynamic
            .values(tag)
            .filter_map(|at| text_at(strings, at))
            .collect::<Vec<_>>()
    };
    Some(Elf {
        machine: Machine {
            processor: header.e_machine(endian).0,
            wide: header.is_class_64(),
        },
        interpreter: interpreter.map(|path| OsString::from_vec(path.to_vec()).into()),
        needed: named(DT_NEEDED),
        rpath: named(DT_RPATH).pop(),
        runpath: named(DT_RUNPATH).pop(),
    })
}

struct Dynamic<'a, H: FileHeader<Endian = Endianness>> {
    endian: Endianness,
    bytes: &'a [u8],
    segments: &'a [H::ProgramHeader],
    entries: &'a [H::Dyn],
}

impl<'a, H: FileHeader<Endian = Endianness>> Dynamic<'a, H> {
    fn values(&self, tag: DynamicTag) -> impl Iterator<Item = u64> + '_ {
        self.entries
            .iter()
            .filter(move |entry| entry.tag(self.endian) == tag)
            .map(|entry| entry.val(self.endian))
    }

    /// Returns the string table, by its address in memory. Section headers name it too, but may be
    /// stripped.
    fn strings(&self) -> Option<&'a [u8]> {
        let address = self.values(DT_STRTAB).next()?;
        let size = self.values(DT_STRSZ).next()?;
        let mut loaded = self
            .segments
            .iter()
            .filter(|segment| segment.p_type(self.endian) == PT_LOAD);
        loaded.find_map(|segment| {
            segment
                .data_range(self.endian, self.bytes, address, size)
                .ok()
                .flatten()
        })
    }
}

fn text_at(strings: &[u8], at: u64) -> Option<OsString> {
    let rest = strings.get(usize::try_from(at).ok()?..)?;
    let text = &rest[..memchr::memchr(0, rest)?];
    Some(OsString::from_vec(text.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elf_files_name_their_loader_and_libraries() {
        let own = parse(&std::fs::read("/proc/self/exe").unwrap()).unwrap();
        assert!(own.interpreter.is_some_and(|path| path.is_absolute()));
        assert!(
            own.needed
                .iter()
                .any(|name| name.to_string_lossy().starts_with("libc.")),
            "{:?}",
            own.needed
        );
    }

    #[test]
    fn other_and_corrupt_files_are_not_elf() {
        let whole = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(parse(b"#!/bin/sh\n"), None);
        assert_eq!(parse(b""), None);
        assert_eq!(parse(&whole[..40]), None);
    }
}
