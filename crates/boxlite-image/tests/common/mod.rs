//! A home for one test, and what can be seen of it from outside: files, rows, locks.

// Each test binary compiles this for itself and uses its own part of it.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use boxlite_image::{ImageOptions, ImageStore, RetryOptions};
use boxlite_state::Database;
use boxlite_testkit::tree::Tree;
use boxlite_types::Home;

/// A home in a temporary directory.
pub struct TestHome {
    directory: tempfile::TempDir,
}

impl TestHome {
    pub fn new() -> Self {
        // In memory where the host has that: hundreds of homes would else spend their time waiting for syncs.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let directory = tempfile::Builder::new().prefix("boxlite-image-test-").tempdir_in(parent).unwrap();
        std::fs::write(directory.path().join("docker.json"), "{}").unwrap();
        std::fs::create_dir(directory.path().join("home")).unwrap();
        TestHome { directory }
    }

    /// A path beside the home, for files of the test's own.
    pub fn beside(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    pub fn home(&self) -> Home {
        Home::new(self.directory.path().join("home"))
    }

    /// Options with which failures come quickly, and that read no configuration of whoever runs the test.
    pub fn options(&self) -> ImageOptions {
        let mut options = ImageOptions {
            docker_config: Some(self.directory.path().join("docker.json")),
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(5),
            retry: RetryOptions {
                attempts: 3,
                base_delay: Duration::from_millis(1),
                max_delay: Duration::from_millis(4),
                max_retry_after: Duration::from_millis(1500),
            },
            ..ImageOptions::default()
        };
        options.layer_limits.max_tar_bytes = 32 << 20;
        options.layer_limits.max_data_bytes = 24 << 20;
        options.layer_limits.max_entries = 20_000;
        options
    }

    pub fn store(&self) -> ImageStore {
        self.store_with(self.options())
    }

    /// Opens one more store on the home, with a database connection of its own, as another process would.
    pub fn store_with(&self, options: ImageOptions) -> ImageStore {
        let home = self.home();
        let database = Database::open(&home.database()).unwrap();
        ImageStore::open(home, database, options).unwrap()
    }

    /// Every file of the home but those of the database, which [`TestHome::rows`] shows.
    pub fn files(&self) -> Tree {
        Tree::of(self.home().root()).without(|path| path.starts_with("boxlite.db"))
    }

    /// Every row of every table.
    pub fn rows(&self) -> BTreeSet<String> {
        let connection = rusqlite::Connection::open(self.home().database()).unwrap();
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table'";
        let tables: Vec<String> =
            connection.prepare(names).unwrap().query_map([], |row| row.get(0)).unwrap().flatten().collect();
        let mut rows = BTreeSet::new();
        for table in tables {
            let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = statement.column_count();
            let mut found = statement.query([]).unwrap();
            while let Some(row) = found.next().unwrap() {
                let values: Vec<String> =
                    (0..columns).map(|column| format!("{:?}", row.get_ref(column).unwrap())).collect();
                rows.insert(format!("{table}: {}", values.join(" | ")));
            }
        }
        rows
    }

    /// The files of the home, those of the database apart, on which anybody holds a lock.
    pub fn locked(&self) -> Vec<String> {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        // "1: FLOCK ADVISORY WRITE 1234 fe:01:5678 0 EOF": the last number of the triple is the inode.
        let inodes: BTreeSet<u64> =
            locks.split_whitespace().filter_map(|word| word.split(':').nth(2)?.parse().ok()).collect();
        let root = self.home().root().to_owned();
        let held = |path: &str| {
            std::fs::metadata(root.join(path)).is_ok_and(|metadata| inodes.contains(&metadata.ino()))
        };
        self.files().paths().filter(|path| held(path)).map(str::to_owned).collect()
    }
}

/// Opens a store on a home that another process made.
pub fn store_at(root: std::path::PathBuf) -> ImageStore {
    let home = Home::new(root);
    let database = Database::open(&home.database()).unwrap();
    let docker_config = Some(home.root().join("no-docker-configuration"));
    ImageStore::open(home, database, ImageOptions { docker_config, ..ImageOptions::default() }).unwrap()
}

/// Reads a file that has to be there.
pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
