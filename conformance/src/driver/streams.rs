//! The steps that take several requests: running a command, reading output, draining a stream.

use anyhow::{Result, anyhow, bail};
use serde_json::{Value as Json, json};

use super::expect::{Outcome, check_error, check_order};
use super::player::Player;
use crate::scenario::{DrainStep, Expected, Pattern, ReadStep, Run, StreamKind, decode};

/// Items of a stream that are looked at before it counts as endless.
const ITEMS: usize = 10_000;

impl Player<'_> {
    /// Runs a command to its end.
    pub(super) async fn run(&self, run: &Run) -> Result<()> {
        let outcome = self.run_to_end(run).await?;
        let plain = [&run.stdout, &run.stderr].iter().any(|text| text.is_some()) || run.code.is_some();
        if run.error.is_none() && (plain || run.ok.is_none()) {
            let mut members = std::collections::BTreeMap::new();
            for (name, text) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
                if let Some(text) = text {
                    members.insert(name.to_owned(), Pattern::Bytes(text.clone()));
                }
            }
            let code = Pattern::Equal(run.code.unwrap_or(0).into());
            let status = Pattern::Map([("code".to_owned(), code)].into());
            members.insert("status".to_owned(), status);
            let expected = Expected { ok: Some(Pattern::Map(members)), ..Expected::default() };
            expected.check(&outcome, &self.variables).map_err(|error| anyhow!(error))?;
        }
        let expected = Expected { ok: run.ok.clone(), error: run.error.clone(), ends: None };
        expected.check(&outcome, &self.variables).map_err(|error| anyhow!(error))
    }

    async fn run_to_end(&self, run: &Run) -> Result<Outcome> {
        const HANDLE: &str = "command";
        let mut spec = self.render(&run.with)?;
        spec["argv"] = run
            .run
            .0
            .iter()
            .map(|word| self.variables.fill_text(word).map(Json::from))
            .collect::<Result<_, _>>()
            .map_err(|error| anyhow!(error))?;
        if run.stdin.is_some() {
            spec["stdin"] = true.into();
        }
        let on = run.on.as_deref().unwrap_or("box");
        let begun = self.ask("box.exec", on, Some(HANDLE), json!({ "spec": spec })).await?;
        if begun.is_err() {
            return Ok(begun);
        }
        if let Some(stdin) = &run.stdin {
            let written =
                self.ask("execution.write", HANDLE, None, json!({ "bytes": self.render(stdin)? })).await?;
            if written.is_err() {
                return Ok(written);
            }
            let closed = self.ask("execution.close_stdin", HANDLE, None, json!({})).await?;
            if closed.is_err() {
                return Ok(closed);
            }
        }
        self.ask("execution.output", HANDLE, None, json!({})).await
    }

    /// Reads the output of a command.
    pub(super) async fn read(&self, step: &ReadStep) -> Result<()> {
        let on = step.on.as_deref().unwrap_or("execution");
        let wanted = step.until.as_ref().or(step.all.as_ref());
        let wanted =
            wanted.map(|text| self.variables.fill_text(text)).transpose().map_err(|error| anyhow!(error))?;
        let mut read = Vec::new();
        loop {
            if step.until.is_some() && wanted.as_ref().is_some_and(|wanted| read.len() >= wanted.len()) {
                break;
            }
            match self.ask("execution.read", on, None, json!({ "stream": step.read })).await? {
                Ok(bytes) => {
                    let bytes = decode(&bytes).ok_or_else(|| anyhow!("`{bytes}` is not base64"))?;
                    if bytes.is_empty() {
                        break;
                    }
                    read.extend(bytes);
                }
                Err(error) => match &step.error {
                    Some(expected) => {
                        return check_error(expected, &error, &self.variables)
                            .map_err(|error| anyhow!(error));
                    }
                    None => bail!("failed with {error}"),
                },
            }
        }
        if let Some(expected) = &step.error {
            bail!("expected the error {expected:?}, got the end after {} bytes", read.len());
        }
        match wanted {
            Some(wanted) if read != wanted.as_bytes() => {
                bail!("expected {wanted:?}, got {:?}", String::from_utf8_lossy(&read))
            }
            _ => Ok(()),
        }
    }

    /// Reads a stream of events or of a log.
    pub(super) async fn drain(&self, step: &DrainStep) -> Result<()> {
        let on = step.on.as_deref().unwrap_or(step.drain.as_str());
        let operation = match step.drain {
            StreamKind::Events => "events.next",
            StreamKind::Logs => "logs.next",
        };
        let mut items = Vec::new();
        loop {
            match self.ask(operation, on, None, json!({})).await? {
                Ok(Json::Null) if step.until.is_some() => {
                    bail!("it ended before there was anything like that, after {}", json!(items))
                }
                Ok(Json::Null) => break,
                Ok(item) => items.push(item),
                Err(error) => match &step.error {
                    Some(expected) => {
                        check_error(expected, &error, &self.variables).map_err(|error| anyhow!(error))?;
                        return self.judge_items(step, &items);
                    }
                    None => bail!("failed with {error}"),
                },
            }
            if items.len() > ITEMS {
                bail!("it does not end");
            }
            if let (Some(until), Some(item)) = (&step.until, items.last())
                && until.matches(item, &self.variables)
            {
                break;
            }
        }
        if let Some(expected) = &step.error {
            bail!("expected the error {expected:?}, got the end");
        }
        self.judge_items(step, &items)
    }

    fn judge_items(&self, step: &DrainStep, items: &[Json]) -> Result<()> {
        if let Some(order) = &step.order {
            check_order(order, items, &self.variables).map_err(|error| anyhow!(error))?;
        }
        for (source, expected) in [("stdout", &step.stdout), ("stderr", &step.stderr)] {
            let Some(expected) = expected else { continue };
            let of_source = items.iter().filter(|item| item["source"] == source);
            let bytes: Vec<u8> = of_source.filter_map(|item| decode(&item["bytes"])).flatten().collect();
            let expected = self.variables.fill_text(expected).map_err(|error| anyhow!(error))?;
            if bytes != expected.as_bytes() {
                bail!("expected {expected:?} on {source}, got {:?}", String::from_utf8_lossy(&bytes));
            }
        }
        Ok(())
    }
}
