//! Which schema changes a database still needs, whatever the database.
//!
//! Changes are additive, so an older program can go on working with a newer schema; a change that removes something
//! says which program it needs at least, and older ones refuse to start.

/// One change of the schema. Once released, a migration is never edited.
#[derive(Debug)]
pub(crate) struct Migration {
    /// 1, 2, 3 …
    pub version: u32,
    /// The oldest schema that a program may know and still work after this change.
    pub needs: u32,
    /// The statements.
    pub sql: &'static str,
}

/// What a database says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// The newest migration that was carried out; 0 for none.
    pub version: u32,
    /// The greatest `needs` among those carried out.
    pub needs: u32,
}

/// The database needs a newer program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the database has schema {found}, which needs a program that knows schema {needed}; this one knows {known}"
)]
pub(crate) struct TooNew {
    found: u32,
    needed: u32,
    known: u32,
}

/// The migrations to carry out, in order.
pub(crate) fn pending(all: &'static [Migration], applied: Applied) -> Result<&'static [Migration], TooNew> {
    let known = all.last().map_or(0, |last| last.version);
    if applied.needs > known {
        return Err(TooNew { found: applied.version, needed: applied.needs, known });
    }
    let first = all.partition_point(|migration| migration.version <= applied.version);
    Ok(&all[first..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn migration(version: u32, needs: u32) -> Migration {
        Migration { version, needs, sql: "" }
    }

    static ALL: [Migration; 3] = [migration(1, 1), migration(2, 1), migration(3, 2)];

    #[test]
    fn what_is_missing_is_pending() {
        let versions = |version, needs| {
            let applied = Applied { version, needs };
            pending(&ALL, applied).map(|left| left.iter().map(|m| m.version).collect::<Vec<_>>())
        };
        assert_eq!(versions(0, 0), Ok(vec![1, 2, 3]));
        assert_eq!(versions(1, 1), Ok(vec![2, 3]));
        assert_eq!(versions(3, 2), Ok(vec![]));
        assert_eq!(versions(5, 3), Ok(vec![]), "a newer schema that this program can live with");
        assert_eq!(versions(5, 4), Err(TooNew { found: 5, needed: 4, known: 3 }));
    }
}
