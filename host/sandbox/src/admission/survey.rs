//! One walk through a component's sections: what it imports, exports and how much of everything it has.
//! Judges nothing but its size and shape.

use wasmparser::{
    BinaryReader, BinaryReaderError, ComponentInstance, ComponentTypeRef, Encoding, Parser, Payload,
    ProducersSectionReader, SectionLimited, TypeBounds,
};

use super::{
    AdmissionError, COMPONENT_INSTANCES_MAX, FUNCTION_BYTES_MAX, FUNCTIONS_MAX, INSTANCES_MAX, MEMORIES_MAX,
    NAMES_MAX, NESTING_MAX, Producer, TABLES_MAX,
};

/// Producers that are kept; more is noise.
const PRODUCERS_MAX: usize = 64;
const SIMPLER: &str = "build a single component with `anneal build`";

/// What the walk saw.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    pub functions: u32,
    pub producers: Vec<Producer>,
    instances: u32,
    memories: u32,
    tables: u32,
    /// For each module or component that is open, how many components it has instantiated so far.
    open: Vec<u64>,
    /// How many components the outermost one instantiates by itself.
    instantiated: u64,
    /// What the finished ones could multiply to, instantiating each other.
    multiplied: u64,
}

/// Walks through a component.
pub(super) fn survey(bytes: &[u8]) -> Result<Survey, AdmissionError> {
    let mut survey = Survey { multiplied: 1, ..Survey::default() };
    for payload in Parser::new(0).parse_all(bytes) {
        survey.payload(payload?)?;
    }
    Ok(survey)
}

impl Survey {
    fn payload(&mut self, payload: Payload<'_>) -> Result<(), AdmissionError> {
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if self.open.is_empty() => {
                let found = "a WebAssembly core module".to_owned();
                return Err(AdmissionError::NotAComponent { found, remedy: SIMPLER });
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                self.open.push(0);
                self.instances = self.instances.saturating_add(1);
                let remedy = "build a component without components inside";
                at_most("levels of nesting", self.open.len() as u64, NESTING_MAX.into(), remedy)?;
            }
            Payload::End(_) => {
                let instantiated = self.open.pop().unwrap_or(self.instantiated);
                self.multiplied = self.multiplied.saturating_mul(instantiated.saturating_add(1));
            }
            Payload::ComponentInstanceSection(section) => {
                self.instances = self.instances.saturating_add(section.count());
                let counter = self.open.last_mut().unwrap_or(&mut self.instantiated);
                for instance in section {
                    if matches!(instance?, ComponentInstance::Instantiate { .. }) {
                        *counter = counter.saturating_add(1);
                    }
                }
            }
            Payload::ComponentImportSection(section) if self.open.is_empty() => {
                at_most("imports", u64::from(section.count()), NAMES_MAX, SIMPLER)?;
                for import in section {
                    let import = import?;
                    // A name for a type of another import is no wish of its own.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        self.imports.push(short(import.name.name));
                    }
                }
            }
            Payload::ComponentExportSection(section) if self.open.is_empty() => {
                at_most("exports", u64::from(section.count()), NAMES_MAX, SIMPLER)?;
                for export in section {
                    self.exports.push(short(export?.name.name));
                }
            }
            Payload::CodeSectionEntry(body) => {
                let range = body.range();
                let remedy = "build with --release; generated code can be split into functions";
                at_most("bytes in one function", range.end - range.start, FUNCTION_BYTES_MAX, remedy)?;
            }
            Payload::CustomSection(section) if section.name() == "producers" => {
                self.producers(section.data(), section.data_offset());
            }
            payload => self.count(&payload),
        }
        Ok(())
    }

    fn count(&mut self, payload: &Payload<'_>) {
        let (counter, count) = match payload {
            Payload::FunctionSection(section) => (&mut self.functions, section.count()),
            Payload::MemorySection(section) => (&mut self.memories, section.count()),
            Payload::TableSection(section) => (&mut self.tables, section.count()),
            Payload::InstanceSection(section) => (&mut self.instances, section.count()),
            _ => return,
        };
        *counter = counter.saturating_add(count);
    }

    /// Keeps what a producers section says; one that cannot be read says nothing.
    fn producers(&mut self, data: &[u8], offset: u64) {
        let Ok(fields): Result<ProducersSectionReader<'_>, _> =
            SectionLimited::new(BinaryReader::new(data, offset))
        else {
            return;
        };
        for field in fields.into_iter().flatten() {
            for value in field.values.into_iter().flatten() {
                if self.producers.len() < PRODUCERS_MAX {
                    let (field, name, version) = (field.name, value.name, value.version);
                    self.producers.push(Producer {
                        field: short(field),
                        name: short(name),
                        version: short(version),
                    });
                }
            }
        }
    }

    /// No more of anything than is admitted.
    pub(super) fn check_counts(&self) -> Result<(), AdmissionError> {
        let smaller = "build with --release and leave out what the job does not use";
        at_most("functions", self.functions.into(), FUNCTIONS_MAX.into(), smaller)?;
        at_most("modules and instances", self.instances.into(), INSTANCES_MAX.into(), SIMPLER)?;
        at_most("imports", self.imports.len() as u64, NAMES_MAX, SIMPLER)?;
        at_most("exports", self.exports.len() as u64, NAMES_MAX, SIMPLER)?;
        at_most("instances of components", self.multiplied, COMPONENT_INSTANCES_MAX, SIMPLER)?;
        at_most("linear memories", self.memories.into(), MEMORIES_MAX.into(), SIMPLER)?;
        at_most("tables", self.tables.into(), TABLES_MAX.into(), SIMPLER)
    }
}

fn at_most(what: &'static str, found: u64, limit: u64, remedy: &'static str) -> Result<(), AdmissionError> {
    if found > limit { Err(AdmissionError::TooMany { what, found, limit, remedy }) } else { Ok(()) }
}

/// Text of the file as it may be shown: short, without control characters.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

impl From<BinaryReaderError> for AdmissionError {
    fn from(error: BinaryReaderError) -> AdmissionError {
        AdmissionError::Malformed { offset: error.offset(), message: error.message().to_owned() }
    }
}
