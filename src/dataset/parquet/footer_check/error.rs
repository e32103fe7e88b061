//! Errors of the check of a parquet file.

/// Error when a parquet file contradicts itself, its length or the format.
#[derive(Debug, thiserror::Error)]
pub enum FooterError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// The file is empty.
    #[error("expected a parquet file, found an empty one; fetch or write it again")]
    Empty,
    /// The file does not begin as parquet files do.
    #[error("expected a parquet file, found one that begins with \"{0}\"")]
    Beginning(String),
    /// The file is shorter than any parquet file; its length (bytes).
    #[error("expected a whole parquet file, found {0} bytes")]
    Short(u64),
    /// The file does not end as parquet files do.
    #[error("expected a whole parquet file, found one without its end; it was still being written, or is cut")]
    Cut,
    /// The footer breaks the rules of its encoding.
    #[error("its footer is damaged")]
    Damaged,
    /// The footer can be understood in several ways.
    #[error("its footer is damaged: it can be read in more than one way")]
    Ambiguous,
    /// The columns are encrypted.
    #[error("its columns are encrypted; decrypt the file first")]
    Encrypted,
    /// Numbers of rows contradict each other or the length of the file.
    #[error("{rows} rows in groups of {groups:?} cannot be")]
    Rows {
        /// Rows of the file.
        rows: i64,
        /// Rows of each group.
        groups: Vec<i64>,
    },
    /// Values of a column have an impossible length (bytes).
    #[error("a column of values of {0} bytes cannot be")]
    ValueLength(i64),
    /// A group of rows has another number of columns.
    #[error("expected {expected} columns in each group of rows, found {found}")]
    Columns {
        /// Number of columns of the schema.
        expected: usize,
        /// Number of columns of the group.
        found: usize,
    },
    /// The columns are more than their parents have.
    #[error("its columns are more than it says")]
    MoreColumns,
    /// The columns are fewer than their parents have.
    #[error("its columns are fewer than it says")]
    FewerColumns,
    /// A column has an impossible number of children, or lies too deep.
    #[error("a column of {count} others at depth {depth} cannot be")]
    Nesting {
        /// Number of children.
        count: i64,
        /// Depth of the column.
        depth: usize,
    },
    /// A range does not lie within the file (bytes).
    #[error("{length} bytes from {at} on do not lie in its {whole}")]
    Outside {
        /// Offset.
        at: i64,
        /// Length.
        length: i64,
        /// Length of the whole.
        whole: i64,
    },
    /// The columns have more values than the file can hold.
    #[error("expected at most {most} values in {length} bytes, found {found}")]
    Values {
        /// Maximum number of values.
        most: u64,
        /// Length of the file (bytes).
        length: u64,
        /// Number of values.
        found: u64,
    },
    /// The page at this offset breaks the rules of its encoding.
    #[error("the page at {0} is damaged")]
    DamagedPage(i64),
    /// The page at this offset refers to a dictionary that is not there.
    #[error("the page at {0} has no dictionary before it, or not only one")]
    NoDictionary(i64),
    /// The header of a page has lengths that are negative, or larger than the page or the file allows.
    #[error("the page at {at} cannot be: {header} in {length} bytes")]
    Page {
        /// Offset of the page (bytes).
        at: i64,
        /// Values of the header.
        header: String,
        /// Length of the file (bytes).
        length: u64,
    },
    /// A dictionary has more values than bytes.
    #[error("the dictionary at {at} cannot have {values} values")]
    Dictionary {
        /// Offset of the dictionary (bytes).
        at: i64,
        /// Number of values.
        values: i64,
    },
    /// A page has an encoding that is not read.
    #[error(
        "the page at {at} has encoding {encoding}, which is not read; write the file anew with plain values, \
         dictionaries or differences"
    )]
    Encoding {
        /// Offset of the page (bytes).
        at: i64,
        /// Number of the encoding.
        encoding: i64,
    },
    /// The index of a column's pages breaks the rules of its encoding.
    #[error("an index of its pages is damaged")]
    DamagedIndex,
    /// The index of a column's pages lists other pages.
    #[error("an index of its pages does not fit them")]
    Index,
}
