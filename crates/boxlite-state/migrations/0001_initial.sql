-- References, images, layers and boxes of one home. Times are seconds since the Unix epoch; digests are
-- `sha256:<hex>`; json columns hold the serialised types of boxlite-types.

CREATE TABLE images (
    id              TEXT PRIMARY KEY,       -- manifest digest
    config_digest   TEXT NOT NULL,
    media_type      TEXT NOT NULL,          -- of the manifest
    os              TEXT NOT NULL,
    architecture    TEXT NOT NULL,
    variant         TEXT NOT NULL DEFAULT '',
    chain_id        TEXT NOT NULL,          -- names rootfs/<chain-id>.erofs
    size_bytes      INTEGER NOT NULL,       -- compressed layers + config
    unpacked_bytes  INTEGER NOT NULL,
    created         TEXT,                   -- RFC 3339, from the config
    layer_count     INTEGER NOT NULL,
    pulled_at       INTEGER NOT NULL,
    last_used_at    INTEGER NOT NULL,
    config          TEXT NOT NULL,          -- json ImageConfig; the long columns last, so that a list need not read them
    history         TEXT NOT NULL           -- json [(command, empty)]
) STRICT;

-- One row per layer of an image, lowest first. Several images share a diff_id, and then its directory in layers/.
CREATE TABLE image_layers (
    image_id    TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    digest      TEXT NOT NULL,              -- of the blob as served
    diff_id     TEXT NOT NULL,
    media_type  TEXT NOT NULL,
    size_bytes  INTEGER NOT NULL,
    entries     INTEGER NOT NULL,
    file_bytes  INTEGER NOT NULL DEFAULT 0, -- of its files
    PRIMARY KEY (image_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_layers_by_diff_id ON image_layers (diff_id);
CREATE INDEX image_layers_by_digest ON image_layers (digest);
-- Everything a list says of an image, so that it reads this and not the table: 10,000 images in a few milliseconds.
CREATE INDEX images_for_list ON images (id, config_digest, os, architecture, variant, size_bytes, unpacked_bytes,
    created, layer_count, last_used_at);
CREATE INDEX images_by_chain_id ON images (chain_id);
CREATE INDEX images_by_config ON images (config_digest);

-- What a name means. A reference by digest has an empty tag. One name may be held for several platforms.
CREATE TABLE image_references (
    reference   TEXT NOT NULL,              -- host/repository:tag, host/repository@digest
    platform    TEXT NOT NULL,              -- os/architecture[/variant] it was resolved for
    repository  TEXT NOT NULL,
    tag         TEXT NOT NULL,
    image_id    TEXT NOT NULL REFERENCES images (id),
    index_digest TEXT,                      -- digest of the index it was found in
    cached_at   INTEGER NOT NULL,
    PRIMARY KEY (reference, platform)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_references_by_image ON image_references (image_id);

CREATE TABLE boxes (
    id          TEXT PRIMARY KEY,
    name        TEXT UNIQUE,
    image       TEXT NOT NULL,              -- full reference
    image_id    TEXT NOT NULL REFERENCES images (id),
    spec        TEXT NOT NULL,              -- json BoxSpec
    config      TEXT NOT NULL,              -- json ImageConfig, as it was when the box was made
    state       TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    started_at  INTEGER,
    stopped_at  INTEGER,
    exit_code   INTEGER,
    shim_pid    INTEGER,                    -- with the two below: which process, of which boot of the host
    shim_start  INTEGER,                    -- start time in clock ticks since boot, /proc/<pid>/stat field 22
    boot_id     TEXT,
    isolation   TEXT                        -- json IsolationInfo, while it runs
) STRICT;
CREATE INDEX boxes_by_image ON boxes (image_id);
