//! Matrices in the arena of floats.

/// Widths are padded to a multiple of this.
const PADDING: usize = 8;

/// A width with its padding.
pub(super) fn padded(width: usize) -> usize {
    width.next_multiple_of(PADDING)
}

/// A matrix, or some of its rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    /// First element in the arena.
    pub at: u64,
    pub rows: usize,
    pub columns: usize,
    /// Elements from row to row.
    pub pitch: usize,
}

impl Area {
    /// Some of its columns.
    pub fn columns(self, first: usize, count: usize) -> Area {
        assert!(first + count <= self.columns, "columns {first} to {} of {self:?}", first + count);
        Area { at: self.at + first as u64, columns: count, ..self }
    }

    /// Some of its rows.
    pub fn rows(self, first: usize, count: usize) -> Area {
        assert!(first + count <= self.rows, "rows {first} to {} of {self:?}", first + count);
        Area { at: self.at + (first * self.pitch) as u64, rows: count, ..self }
    }

    /// The same place in a copy that lies `distance` further on.
    pub fn shifted(self, distance: usize) -> Area {
        Area { at: self.at + distance as u64, ..self }
    }

    /// Elements of a matrix that is whole.
    pub fn floats(self) -> usize {
        self.rows * self.pitch
    }
}

/// Hands out places in an arena, one behind the other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reserve {
    /// Elements so far.
    pub floats: usize,
}

impl Reserve {
    /// A new matrix; its columns are a multiple of 8.
    pub fn area(&mut self, rows: usize, columns: usize) -> Area {
        assert!(columns.is_multiple_of(PADDING), "{columns} columns are not padded");
        let area = Area { at: self.floats as u64, rows, columns, pitch: columns };
        self.floats += rows * columns;
        area
    }

    /// Numbers without padding.
    pub fn numbers(&mut self, count: usize) -> u64 {
        let at = self.floats as u64;
        self.floats += count;
        at
    }
}
