//! Carries out the steps of one scenario. It stops at the first that does not go as written, and says which.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value as Json, json};

use super::adapter::{Adapter, Answer, Pending};
use super::expect::{Outcome, check_order, ending};
use super::shutdowns::Shutdowns;
use super::world::{BOX_IMAGE, World, box_given, remember};
use crate::registry::TargetDescription;
use crate::scenario::{
    self, Await, Call, Expected, FileStep, GateStep, HomeStep, RegistryStep, RequestsStep, Scenario, Step,
    Variables,
};

/// Memory of boxes that do not say otherwise: little, so that many fit.
const MEMORY_MIB: u32 = 256;

/// How long an operation may be asked again before a step gives up.
const AGAIN: Duration = Duration::from_secs(30);

/// How often something that may take a moment is looked at.
const AGAIN_DELAY: Duration = Duration::from_millis(10);

/// Plays one scenario.
pub struct Player<'a> {
    pub(super) adapter: &'a Adapter,
    pub(super) world: &'a mut World,
    pub(super) variables: Variables,
    pub(super) step_limit: Duration,
    background: HashMap<String, Vec<Sent>>,
    shutdowns: Shutdowns,
}

/// A call that was sent.
struct Sent {
    pending: Pending,
    /// The handle it is about.
    on: Option<String>,
    /// The handle it makes.
    made: Option<String>,
}

impl<'a> Player<'a> {
    /// Prepares to play.
    pub fn new(
        adapter: &'a Adapter,
        world: &'a mut World,
        variables: Variables,
        step_limit: Duration,
    ) -> Self {
        let (background, shutdowns) = (HashMap::new(), Shutdowns::default());
        Player { adapter, world, variables, step_limit, background, shutdowns }
    }

    /// Plays all of it.
    ///
    /// # Errors
    /// Naming the step that did not go as written.
    pub async fn play(&mut self, scenario: &Scenario) -> Result<()> {
        self.prepare(scenario).await.context("before the first step")?;
        for (number, step) in scenario.steps.iter().enumerate() {
            let title = || format!("step {} ({})", number + 1, step.title());
            let performed = tokio::time::timeout(self.step_limit * 2, self.perform(step)).await;
            performed.map_err(|_| anyhow!("it hangs")).and_then(|result| result).with_context(title)?;
        }
        if let Some(name) = self.background.keys().next() {
            bail!("`{name}` was never awaited");
        }
        Ok(())
    }

    async fn prepare(&mut self, scenario: &Scenario) -> Result<()> {
        let given = &scenario.given;
        if given.open != Some(false) {
            self.succeed(
                "runtime.open",
                None,
                Some("runtime"),
                self.world.open_arguments(&self.render(&given.registry)?),
            )
            .await?;
            self.succeed("runtime.images", Some("runtime"), Some("images"), json!({})).await?;
        }
        let boxed = given.r#box.map(|_| BOX_IMAGE);
        for name in given.pulled.iter().map(String::as_str).chain(boxed) {
            let reference =
                self.variables.fill_text(&format!("${{{name}}}")).map_err(|error| anyhow!(error))?;
            self.succeed("images.pull", Some("images"), None, json!({ "reference": reference })).await?;
        }
        let (made, running) = box_given(scenario);
        if made {
            let mut call = json!({ "spec": self.render(&given.spec)? });
            self.complete("runtime.create", &mut call);
            let answer = self.succeed("runtime.create", Some("runtime"), Some("box"), call).await?;
            self.note_box(&answer);
            self.variables.set("box", answer["id"].clone());
        }
        if running {
            self.succeed("box.start", Some("box"), None, json!({})).await?;
        }
        for rule in &given.rules {
            self.world.stage.rule(&scenario::rule(rule, &self.variables).map_err(|error| anyhow!(error))?)?;
        }
        self.world.stage.forget_requests();
        Ok(())
    }

    async fn perform(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Call(call) => self.call(call).await,
            Step::Run(run) => self.run(run).await,
            Step::Await(step) => self.settle(step).await,
            Step::Cancel(step) => {
                let pending = self.background.get(&step.cancel).context("there is no such call")?;
                pending.iter().for_each(|sent| self.adapter.cancel(sent.pending.id));
                Ok(())
            }
            Step::Forget(step) => {
                self.background.remove(&step.forget).map(drop).context("there is no such call")
            }
            Step::Registry(step) => self.change_registry(step),
            Step::Gate(step) => self.gate(step).await,
            Step::Requests(step) => self.requests(step),
            Step::Home(step) => self.home(step).await,
            Step::File(step) => self.file(step),
            Step::Read(step) => self.read(step).await,
            Step::Drain(step) => self.drain(step).await,
        }
    }

    async fn call(&mut self, call: &Call) -> Result<()> {
        let begun = Instant::now();
        let expected = Expected { ok: call.ok.clone(), error: call.error.clone(), ends: call.ends.clone() };
        if let Some(name) = &call.background {
            let sent = (0..call.times.unwrap_or(1))
                .map(|number| self.send(call, &self.variables.with("n", number)))
                .collect::<Result<Vec<_>>>()?;
            sent.iter().for_each(|sent| self.note_handle(sent));
            if self.background.insert(name.clone(), sent).is_some() {
                bail!("there is a call `{name}` in the background already");
            }
            return Ok(());
        }
        let answer = loop {
            let sent = self.send(call, &self.variables)?;
            self.note_handle(&sent);
            let id = sent.pending.id;
            let answer = self.adapter.answer(sent.pending, self.step_limit).await?;
            if let ("runtime.shutdown" | "runtime.close", Some(on)) = (call.call.as_str(), &sent.on) {
                self.shutdowns.returned(on, id, answer.at);
            }
            let unwanted = call.again_while.as_ref().is_some_and(|again| *again == ending(&answer.outcome));
            let not_yet = call.until.as_ref().is_some_and(|until| match &answer.outcome {
                Ok(value) => !until.matches(value, &self.variables),
                Err(_) => false,
            });
            if !unwanted && !not_yet {
                break answer;
            }
            if begun.elapsed() > AGAIN {
                bail!("still {} after {} s: {:?}", ending(&answer.outcome), AGAIN.as_secs(), answer.outcome);
            }
        };
        Self::judge(&expected, &answer, &self.variables)?;
        let took = answer.at.duration_since(begun);
        if let Some(limit) = call.within_ms.filter(|limit| took > Duration::from_millis(*limit)) {
            bail!("it took {} ms instead of at most {limit}", took.as_millis());
        }
        if let Some(order) = &call.progress {
            check_order(order, &answer.progress, &self.variables).map_err(|error| anyhow!(error))?;
        }
        if let Ok(value) = &answer.outcome {
            if call.call == "runtime.create" {
                self.note_box(value);
            }
            for (field, name) in &call.save {
                let saved = if field == "." {
                    Some(value)
                } else {
                    value.pointer(&format!("/{}", field.replace('.', "/")))
                };
                let saved = saved.with_context(|| format!("the answer has no `{field}`: {value}"))?;
                self.variables.set(name.clone(), saved.clone());
            }
        }
        Ok(())
    }

    fn note_handle(&mut self, sent: &Sent) {
        if let Some(made) = &sent.made {
            self.shutdowns.made(sent.on.as_deref(), made);
        }
    }

    fn send(&self, call: &Call, variables: &Variables) -> Result<Sent> {
        let mut arguments = variables.render(&call.with).map_err(|error| anyhow!(error))?;
        if arguments.is_null() {
            arguments = json!({});
        }
        if call.call == "runtime.open" {
            let mut whole = self.world.open_arguments(&Json::Null);
            if let (Some(whole), Some(given)) = (whole.as_object_mut(), arguments.as_object()) {
                whole.extend(given.clone());
            }
            arguments = whole;
        }
        self.complete(&call.call, &mut arguments);
        let (kind, makes) = handles(&call.call);
        let name = |given: &Option<String>, usual: Option<&str>| match given {
            Some(name) => variables.fill_text(name).map(Some),
            None => Ok(usual.map(str::to_owned)),
        };
        let on = name(&call.on, kind).map_err(|error| anyhow!(error))?;
        let made = name(&call.made, makes).map_err(|error| anyhow!(error))?;
        let pending = self.adapter.request(&call.call, on.as_deref(), made.as_deref(), arguments);
        Ok(Sent { pending, on, made })
    }

    /// Fills in what every box needs, unless the scenario says otherwise.
    fn complete(&self, operation: &str, arguments: &mut Json) {
        if operation != "runtime.create" {
            return;
        }
        let spec = &mut arguments["spec"];
        if spec.get("image").is_none()
            && let Ok(image) = self.variables.fill(&format!("${{{BOX_IMAGE}}}"))
        {
            spec["image"] = image;
        }
        if spec.get("resources").is_none() {
            spec["resources"] = json!({ "memory_mib": MEMORY_MIB });
        }
    }

    fn note_box(&mut self, answer: &Json) {
        if let Some(id) = answer["id"].as_str() {
            self.world.boxes.push(id.to_owned());
        }
    }

    async fn settle(&mut self, step: &Await) -> Result<()> {
        let pending = self.background.remove(&step.awaited).context("there is no such call")?;
        let expected = Expected { ok: step.ok.clone(), error: step.error.clone(), ends: step.ends.clone() };
        for (number, Sent { pending, on, .. }) in pending.into_iter().enumerate() {
            let id = pending.id;
            let answer = self.adapter.answer(pending, self.step_limit).await?;
            Self::judge(&expected, &answer, &self.variables.with("n", number))?;
            if let Some(on) = on {
                self.shutdowns.check(&on, id, answer.at).map_err(|error| anyhow!(error))?;
            }
        }
        Ok(())
    }

    fn judge(expected: &Expected, answer: &Answer, variables: &Variables) -> Result<()> {
        expected.check(&answer.outcome, variables).map_err(|error| anyhow!(error))
    }

    /// Asks for an operation and returns how it ended.
    pub(super) async fn ask(
        &self,
        operation: &str,
        on: &str,
        made: Option<&str>,
        arguments: Json,
    ) -> Result<Outcome> {
        let pending = self.adapter.request(operation, Some(on), made, arguments);
        Ok(self.adapter.answer(pending, self.step_limit).await?.outcome)
    }

    async fn succeed(
        &self,
        operation: &str,
        on: Option<&str>,
        made: Option<&str>,
        arguments: Json,
    ) -> Result<Json> {
        let pending = self.adapter.request(operation, on, made, arguments);
        let answer =
            self.adapter.answer(pending, self.step_limit).await.with_context(|| operation.to_owned())?;
        answer.outcome.map_err(|error| anyhow!("{operation}: {error}"))
    }

    pub(super) fn render(&self, template: &serde_norway::Value) -> Result<Json> {
        let rendered = self.variables.render(template).map_err(|error| anyhow!(error))?;
        Ok(if rendered.is_null() { json!({}) } else { rendered })
    }

    async fn home(&self, step: &HomeStep) -> Result<()> {
        let deadline = Instant::now() + Duration::from_millis(step.within_ms.unwrap_or(0));
        loop {
            let checked = self.world.check_home(step.home, self.adapter.group);
            if checked.is_ok() || Instant::now() >= deadline {
                return checked;
            }
            tokio::time::sleep(AGAIN_DELAY).await;
        }
    }

    fn change_registry(&mut self, step: &RegistryStep) -> Result<()> {
        let change = &step.registry;
        let stage = &self.world.stage;
        if change.heal {
            stage.heal();
        }
        for (name, image) in &change.push {
            remember(&mut self.variables, name, &stage.push(name, image)?);
        }
        if let Some(digest) = &change.remove_blob {
            stage.remove_blob(&self.variables.fill_text(digest).map_err(|error| anyhow!(error))?)?;
        }
        for rule in &change.rules {
            stage.rule(&scenario::rule(rule, &self.variables).map_err(|error| anyhow!(error))?)?;
        }
        if let Some(auth) = &change.auth {
            stage.require(Some(auth));
        }
        if change.forget_requests {
            stage.forget_requests();
        }
        Ok(())
    }

    async fn gate(&self, step: &GateStep) -> Result<()> {
        let gate = self.world.stage.gate(&step.gate);
        let wait = async {
            if let Some(count) = step.reached {
                gate.reached_by(count).await;
            }
            if step.abandoned {
                gate.abandoned().await;
            }
        };
        let waited = tokio::time::timeout(self.step_limit, wait).await;
        if waited.is_err() {
            bail!("nothing like that happened within {} s", self.step_limit.as_secs());
        }
        if step.open {
            self.world.stage.open_gate(&step.gate);
        }
        Ok(())
    }

    fn requests(&self, step: &RequestsStep) -> Result<()> {
        let target: TargetDescription =
            serde_json::from_value(self.render(&step.requests)?).context("the target of `requests`")?;
        let requests = self.world.stage.requests(&target)?;
        if let Some(count) = &step.count {
            let paths: Vec<String> =
                requests.iter().map(|one| format!("{} {}", one.method, one.path)).collect();
            count
                .check(&requests.len().into(), &self.variables)
                .map_err(|error| anyhow!("{error} requests: {paths:?}"))?;
        }
        if let Some(expected) = &step.last {
            let last = requests.last().context("there was no such request")?;
            let last = json!({
                "method": last.method,
                "path": last.path,
                "range": last.range(),
                "authorization": last.authorization(),
                "status": last.status,
            });
            expected.check(&last, &self.variables).map_err(|error| anyhow!(error))?;
        }
        Ok(())
    }

    fn file(&self, step: &FileStep) -> Result<()> {
        let path = self.variables.fill_text(&step.file).map_err(|error| anyhow!(error))?;
        let path = std::path::Path::new(&path);
        if step.absent && path.symlink_metadata().is_ok() {
            bail!("it is there");
        }
        if let Some(content) = &step.content {
            let found = std::fs::read(path).context("it cannot be read")?;
            if found != content.as_bytes() {
                bail!("it holds {:?} instead of {content:?}", String::from_utf8_lossy(&found));
            }
        }
        if let Some(link) = &step.link {
            let found = std::fs::read_link(path).context("it is no link")?;
            if found.as_os_str() != link.as_str() {
                bail!("it points to `{}`", found.display());
            }
        }
        Ok(())
    }
}

/// Returns the handle an operation is about and the one it makes, as they are called unless a step says otherwise.
fn handles(operation: &str) -> (Option<&'static str>, Option<&'static str>) {
    let made = match operation {
        "runtime.open" => return (None, Some("runtime")),
        "runtime.images" => Some("images"),
        "runtime.create" | "runtime.get" => Some("box"),
        "runtime.events" => Some("events"),
        "box.exec" | "box.attach" | "box.start_attached" => Some("execution"),
        "box.logs" => Some("logs"),
        _ => None,
    };
    let on = match operation.split_once('.').map_or(operation, |(kind, _)| kind) {
        "images" => Some("images"),
        "box" => Some("box"),
        "execution" => Some("execution"),
        "events" => Some("events"),
        "logs" => Some("logs"),
        "runtime" | "kernels" => Some("runtime"),
        _ => None,
    };
    (on, made)
}
