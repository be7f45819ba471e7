//! Plain tables: a header in capitals, columns padded with spaces to their widest cell, nothing drawn.

/// Rows under a header, all of the same number of cells.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Starts a table.
    pub fn new(header: &[&str]) -> Self {
        Table { rows: vec![header.iter().map(|title| title.to_string()).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

/// Writes it with a line feed after each row and no space at the end of a line.
impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows[0].len();
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}   "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let mut table = Table::new(&["NAME", "SIZE"]);
        table.row(["é-long-name".into(), "1 B".into()]);
        table.row(["x".into(), String::new()]);
        assert_eq!(table.to_string(), "NAME          SIZE\né-long-name   1 B\nx\n");
    }
}
