//! Maps: a program of element operations run tile by tile, so that everything between the loads and the
//! stores stays in the first-level cache.
//!
//! The program is scheduled once a run (which register lives in which buffer), then every thread walks its
//! range of tiles. Contiguous words are read in place, constants are filled once.

use std::ops::Range;

use super::{
    lanes::Instruct,
    memory::{Slice, SliceMut},
    team::{Team, ranges},
    walk::{Run, Walk, is_contiguous},
};
use crate::{
    DType, ElementOp,
    plan::{Map, View},
};

/// Elements of a tile: a few live registers of it fit the first-level cache.
const TILE: usize = 1024;

/// Where a register's lanes are during a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// In this load's memory, contiguous.
    Memory(usize),
    /// In this buffer.
    Buffer(usize),
}

/// What is done for a tile, in order.
#[derive(Debug)]
enum Task {
    Load { load: usize, to: usize },
    Instruct { instruction: usize, inputs: [Source; 3], to: usize },
    Store { store: usize, from: Source },
}

/// The order of a map's work and the place of each register.
#[derive(Debug, Default)]
struct Schedule {
    /// Once a thread: buffers that never change.
    constants: Vec<Task>,
    /// For every tile.
    tasks: Vec<Task>,
    buffers: usize,
}

/// Runs a map. `reads` are the slots of its loads and `writes` those of its stores, in order.
pub fn run(team: &Team, map: &Map, scalars: &[u32], reads: &[Slice<'_>], writes: Vec<SliceMut<'_>>) {
    let count: usize = map.shape.iter().product();
    let schedule = Schedule::of(map);
    let tiles = count.div_ceil(TILE);
    let work = count * (map.instructions.len() + map.loads.len() + map.stores.len());
    let ranges: Vec<Range<usize>> = ranges(tiles, team.parts(tiles, work))
        .into_iter()
        .map(|tiles| tiles.start * TILE..(tiles.end * TILE).min(count))
        .collect();
    let parts = divide(map, &ranges, writes);
    team.each(parts, |part| Thread::new(map, &schedule, scalars, reads, part).run(team));
}

/// A thread's range of elements and its piece of every written slot, with the element each piece begins at.
struct Part<'a> {
    range: Range<usize>,
    writes: Vec<(SliceMut<'a>, usize)>,
}

/// Cuts the written slots where the ranges begin. Stores go upwards in memory, so ranges do not overlap.
fn divide<'a>(map: &Map, ranges: &[Range<usize>], writes: Vec<SliceMut<'a>>) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> =
        ranges.iter().map(|range| Part { range: range.clone(), writes: Vec::new() }).collect();
    for (slice, (_, view)) in writes.into_iter().zip(&map.stores) {
        let mut rest = slice;
        // From the last part to the first, so that what is left always begins at element 0.
        let mut pieces = Vec::with_capacity(ranges.len());
        for range in ranges.iter().rev() {
            let begin = if range.start == 0 {
                0
            } else {
                Walk::new(&map.shape, &view.strides, view.offset, range.start).position()
            };
            let (before, piece) = rest.split_at(begin);
            pieces.push((piece, begin));
            rest = before;
        }
        for (part, piece) in parts.iter_mut().zip(pieces.into_iter().rev()) {
            part.writes.push(piece);
        }
    }
    parts
}

impl Schedule {
    fn of(map: &Map) -> Schedule {
        let loads = map.loads.len();
        let mut uses = vec![0usize; loads + map.instructions.len()];
        let registers = map.instructions.iter().flat_map(|instruction| &instruction.inputs);
        for &register in registers.chain(map.stores.iter().map(|(register, _)| register)) {
            uses[register] += 1;
        }
        let mut schedule = Schedule::default();
        let mut source: Vec<Option<Source>> = vec![None; uses.len()];
        let mut free: Vec<usize> = Vec::new();
        let mut fixed = vec![false; uses.len()];
        for (number, instruction) in map.instructions.iter().enumerate() {
            for &register in &instruction.inputs {
                schedule.load(map, register, &mut source, &mut fixed, &mut free);
            }
            let register = loads + number;
            let mut inputs = [Source::Buffer(0); 3];
            for (input, &register) in inputs.iter_mut().zip(&instruction.inputs) {
                *input = source[register].expect("an input is computed before it is used");
            }
            let is_constant = matches!(instruction.op, ElementOp::Full(_));
            let to =
                if is_constant { schedule.buffer() } else { free.pop().unwrap_or_else(|| schedule.buffer()) };
            (source[register], fixed[register]) = (Some(Source::Buffer(to)), is_constant);
            let tasks = if is_constant { &mut schedule.constants } else { &mut schedule.tasks };
            tasks.push(Task::Instruct { instruction: number, inputs, to });
            schedule.stores(map, register, &source, &mut uses);
            for &input in &instruction.inputs {
                uses[input] -= 1;
            }
            for &register in instruction.inputs.iter().chain([&register]) {
                let place = source[register].filter(|_| uses[register] == 0 && !fixed[register]);
                if let Some(Source::Buffer(buffer)) = place {
                    free.push(buffer);
                    // Once is enough where an operand is named twice.
                    fixed[register] = true;
                }
            }
        }
        for register in 0..loads {
            if map.stores.iter().any(|&(stored, _)| stored == register) {
                schedule.load(map, register, &mut source, &mut fixed, &mut free);
                schedule.stores(map, register, &source, &mut uses);
            }
        }
        schedule
    }

    fn buffer(&mut self) -> usize {
        self.buffers += 1;
        self.buffers - 1
    }

    /// Brings a loaded register into a buffer, unless it is there or can be read in place.
    fn load(
        &mut self,
        map: &Map,
        register: usize,
        source: &mut [Option<Source>],
        fixed: &mut [bool],
        free: &mut Vec<usize>,
    ) {
        if register >= map.loads.len() || source[register].is_some() {
            return;
        }
        let (view, dtype) = &map.loads[register];
        let words = matches!(dtype, DType::F32 | DType::I32);
        let constant = view.strides.iter().all(|&stride| stride == 0);
        if !constant && words && is_contiguous(&map.shape, &view.strides) {
            source[register] = Some(Source::Memory(register));
            return;
        }
        let to = if constant { self.buffer() } else { free.pop().unwrap_or_else(|| self.buffer()) };
        let tasks = if constant { &mut self.constants } else { &mut self.tasks };
        tasks.push(Task::Load { load: register, to });
        (source[register], fixed[register]) = (Some(Source::Buffer(to)), constant);
    }

    fn stores(&mut self, map: &Map, register: usize, source: &[Option<Source>], uses: &mut [usize]) {
        for (store, (stored, _)) in map.stores.iter().enumerate() {
            if *stored == register {
                let from = source[register].expect("a stored register is computed");
                self.tasks.push(Task::Store { store, from });
                uses[register] -= 1;
            }
        }
    }
}

/// One thread's state during a part.
struct Thread<'a> {
    map: &'a Map,
    schedule: &'a Schedule,
    scalars: &'a [u32],
    reads: &'a [Slice<'a>],
    range: Range<usize>,
    writes: Vec<(SliceMut<'a>, usize)>,
    buffers: Vec<Vec<u32>>,
    load_walks: Vec<Walk<'a>>,
    store_walks: Vec<Option<Walk<'a>>>,
}

impl<'a> Thread<'a> {
    fn new(
        map: &'a Map,
        schedule: &'a Schedule,
        scalars: &'a [u32],
        reads: &'a [Slice<'a>],
        part: Part<'a>,
    ) -> Thread<'a> {
        let start = part.range.start;
        let walk = |view: &'a View| Walk::new(&map.shape, &view.strides, view.offset, start);
        let strided = |view: &'a View| (!is_contiguous(&map.shape, &view.strides)).then(|| walk(view));
        Thread {
            map,
            schedule,
            scalars,
            reads,
            range: part.range,
            writes: part.writes,
            buffers: vec![vec![0; TILE]; schedule.buffers],
            load_walks: map.loads.iter().map(|(view, _)| walk(view)).collect(),
            store_walks: map.stores.iter().map(|(_, view)| strided(view)).collect(),
        }
    }

    fn run(mut self, team: &Team) {
        let longest = self.range.len().min(TILE);
        let start = self.range.start;
        for task in &self.schedule.constants {
            self.perform(team, task, start, longest);
        }
        while !self.range.is_empty() {
            let (start, count) = (self.range.start, self.range.len().min(TILE));
            for task in &self.schedule.tasks {
                self.perform(team, task, start, count);
            }
            self.range.start += count;
        }
    }

    fn perform(&mut self, team: &Team, task: &Task, start: usize, count: usize) {
        match *task {
            Task::Load { load, to } => {
                let mut filled = 0;
                while filled < count {
                    let run = self.load_walks[load].run(count - filled);
                    let to = &mut self.buffers[to][filled..filled + run.count];
                    read(self.reads[load], run, to);
                    filled += run.count;
                }
            }
            Task::Instruct { instruction, inputs, to } => {
                self.instruct(team, instruction, inputs, to, start, count)
            }
            Task::Store { store, from } => self.store(store, from, start, count),
        }
    }

    fn instruct(
        &mut self,
        team: &Team,
        instruction: usize,
        inputs: [Source; 3],
        to: usize,
        start: usize,
        count: usize,
    ) {
        let instruction = &self.map.instructions[instruction];
        // No buffer is an input and the output of one instruction: it is free only after its last use.
        let mut out = std::mem::take(&mut self.buffers[to]);
        let inputs = inputs.map(|input| self.lanes(input, start, count));
        let from = match instruction.inputs.last() {
            Some(&register) => self.dtype(register),
            None => instruction.dtype,
        };
        team.set.run(Instruct {
            op: &instruction.op,
            from,
            to: instruction.dtype,
            inputs,
            scalars: &self.scalars[instruction.scalars.min(self.scalars.len())..],
            first: start as u32,
            out: &mut out[..count],
        });
        self.buffers[to] = out;
    }

    fn lanes(&self, source: Source, start: usize, count: usize) -> &[u32] {
        match source {
            Source::Buffer(buffer) => &self.buffers[buffer],
            Source::Memory(load) => match self.reads[load] {
                Slice::Words(words) => &words[(self.map.loads[load].0.offset as usize + start)..][..count],
                _ => panic!("only words are read in place"),
            },
        }
    }

    fn dtype(&self, register: usize) -> DType {
        match self.map.loads.get(register) {
            Some((_, dtype)) => *dtype,
            None => self.map.instructions[register - self.map.loads.len()].dtype,
        }
    }

    fn store(&mut self, store: usize, from: Source, start: usize, count: usize) {
        let mut walk = self.store_walks[store].take();
        let (mut out, begin) = std::mem::replace(&mut self.writes[store], (SliceMut::Bytes(&mut []), 0));
        let lanes = &self.lanes(from, start, count)[..count];
        match &mut walk {
            None => {
                let at = self.map.stores[store].1.offset as usize + start - begin;
                write(&mut out, Run { at, stride: 1, count }, lanes);
            }
            Some(walk) => {
                let mut written = 0;
                while written < count {
                    let mut run = walk.run(count - written);
                    run.at -= begin;
                    write(&mut out, run, &lanes[written..written + run.count]);
                    written += run.count;
                }
            }
        }
        self.writes[store] = (out, begin);
        self.store_walks[store] = walk;
    }
}

/// The words of a run.
fn read(from: Slice<'_>, run: Run, to: &mut [u32]) {
    match from {
        Slice::Words(elements) => read_as(elements, run, to),
        Slice::Halves(elements) => read_as(elements, run, to),
        Slice::Bytes(elements) => read_as(elements, run, to),
    }
}

fn read_as<T: Copy + Into<u32>>(from: &[T], run: Run, to: &mut [u32]) {
    match run.stride {
        0 => to.fill(from[run.at].into()),
        1 => {
            for (to, &from) in to.iter_mut().zip(&from[run.at..run.at + run.count]) {
                *to = from.into();
            }
        }
        stride => {
            let mut at = run.at as isize;
            for to in to {
                *to = from[at as usize].into();
                at += stride;
            }
        }
    }
}

/// Words to a run; narrower elements take the low bits, which are all there is.
fn write(to: &mut SliceMut<'_>, run: Run, from: &[u32]) {
    match to {
        SliceMut::Words(elements) => write_as(elements, run, from, |word| word),
        SliceMut::Halves(elements) => write_as(elements, run, from, |word| word as u16),
        SliceMut::Bytes(elements) => write_as(elements, run, from, |word| word as u8),
    }
}

fn write_as<T>(to: &mut [T], run: Run, from: &[u32], narrow: impl Fn(u32) -> T) {
    if run.stride == 1 {
        for (to, &from) in to[run.at..run.at + run.count].iter_mut().zip(from) {
            *to = narrow(from);
        }
    } else {
        let stride = run.stride as usize;
        for (at, &from) in from.iter().enumerate() {
            to[run.at + at * stride] = narrow(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Instruction;

    /// Buffers are reused, and never while their value is still needed.
    #[test]
    fn a_chain_needs_two_buffers() {
        let view = View { slot: 0, offset: 0, strides: vec![1] };
        let exp = |register| Instruction {
            op: ElementOp::Exp,
            inputs: vec![register],
            dtype: DType::F32,
            scalars: 0,
        };
        let map = Map {
            shape: vec![10],
            loads: vec![(view.clone(), DType::F32)],
            instructions: (0..20).map(exp).collect(),
            stores: vec![(20, View { slot: 1, ..view })],
        };
        assert_eq!(Schedule::of(&map).buffers, 2);
    }
}
