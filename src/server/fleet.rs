//! The plugins' threads, as the main thread sees them.

use super::ServeError;
use super::endpoint::{self, Endpoint};
use super::order::{Event, Order, Reload, Request, WorkerError};
use super::own_file::OwnFile;
use super::report::{Report, Round};
use super::status::{Phase, ServedPlugin, Status};
use super::systemd::Activation;
use super::worker::Worker;
use crate::config::{Config, Found, PluginDir};
use crate::plugin::{Accepted, News, PluginSpec, Surroundings, Trial, Vitals};
use crate::telemetry::{chain, timestamp};
use crate::testing;
use crate::trace::Tap;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

/// All plugins' threads.
pub struct Fleet<'a> {
    config: &'a Config,
    started: SystemTime,
    activation: Activation,
    surroundings: Surroundings,
    members: BTreeMap<String, Member>,
    /// The grants that were accepted, by plugin, also of plugins that are gone.
    accepted: BTreeMap<String, Accepted>,
    /// What could not be served when the directories were last read.
    problems: BTreeSet<String>,
    /// What was probably meant to be served when they were last read.
    warnings: BTreeSet<String>,
    gate: watch::Sender<bool>,
    report: UnboundedSender<Event>,
    events: UnboundedReceiver<Event>,
    /// The changes that are being carried out.
    unsettled: usize,
}

/// A plugin's thread.
struct Member {
    wanted: Wanted,
    orders: UnboundedSender<Order>,
    /// Where it is served, as a URL.
    address: String,
    /// The file by which the engine finds the plugin, until the plugin drains.
    file: Option<OwnFile>,
    /// What it is doing, once it was opened.
    vitals: Option<Arc<Vitals>>,
    is_draining: bool,
}

/// A plugin that is to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    plugin: PluginDir,
    /// Whether its directory exists. Otherwise systemd has its socket, whose clients must get an
    /// answer.
    is_present: bool,
}

impl<'a> Fleet<'a> {
    /// Serves what was found at the start.
    ///
    /// # Errors
    /// Fails if nothing of it can be served, or, strictly, if anything cannot.
    pub fn start(config: &'a Config) -> Result<Fleet<'a>, ServeError> {
        let (report, events) = unbounded_channel();
        let mut fleet = Fleet {
            config,
            started: SystemTime::now(),
            activation: Activation::take(config)?,
            surroundings: surroundings(config),
            members: BTreeMap::new(),
            accepted: BTreeMap::new(),
            problems: BTreeSet::new(),
            warnings: BTreeSet::new(),
            gate: watch::Sender::new(!config.strict),
            report,
            events,
            unsettled: 0,
        };
        let names = config
            .found
            .plugins
            .iter()
            .map(|plugin| plugin.name.as_str());
        endpoint::clear_stale(config, names);
        let mut round = Round::default();
        let failed = fleet.take_in(&config.found, &mut round);
        let unknown = config.listens.unknown(&config.found.plugins);
        if let Some(unknown) = &unknown {
            error!("not used: {unknown}");
        }
        let mut errors = failed.into_iter().chain(unknown.map(ServeError::from));
        let is_vain = fleet.members.is_empty() && !config.found.plugins.is_empty();
        match errors.next() {
            Some(error) if config.strict || is_vain => return Err(error),
            _ => {}
        }
        fleet.carry_out(round, None);
        Ok(fleet)
    }

    /// Takes a reading of the directories: serves plugins that came, and drains those that are gone.
    /// Returns the errors of those that cannot be served, which are logged.
    pub fn take_in(&mut self, found: &Found, round: &mut Round) -> Vec<ServeError> {
        let wanted = self.wanted(found);
        self.drain_unwanted(&wanted, round);
        let problems = found.problems.iter().cloned();
        let mut errors: Vec<_> = problems.map(ServeError::from).collect();
        for wanted in wanted.into_values() {
            // One that still drains makes room for its successor when it has ended.
            if !self.members.contains_key(&wanted.plugin.name)
                && let Err(error) = self.serve(wanted, round)
            {
                errors.push(error);
            }
        }
        self.log(&errors, round);
        self.log_warnings(&found.warnings, round);
        errors
    }

    /// Returns what is to be served. A plugin whose directory is there goes on, whatever is in it.
    fn wanted(&self, found: &Found) -> BTreeMap<String, Wanted> {
        let found_plugins = found.plugins.iter().map(|plugin| Wanted {
            plugin: plugin.clone(),
            is_present: true,
        });
        let kept = self.members.values().map(|member| member.wanted.clone());
        let kept = kept.filter(|it| it.is_present && !found.lacks(&it.plugin.dir));
        let mut all: BTreeMap<_, _> = found_plugins
            .chain(kept)
            .map(|wanted| (wanted.plugin.name.clone(), wanted))
            .collect();
        for name in self.activation.plugins() {
            if !all.contains_key(name)
                && let Some(dir) = self.config.roster.place_of(name)
            {
                all.insert(name.to_owned(), Wanted::absent(name, dir));
            }
        }
        all
    }

    fn drain_unwanted(&mut self, wanted: &BTreeMap<String, Wanted>, round: &mut Round) {
        for (name, member) in &mut self.members {
            if member.is_draining || wanted.get(name) == Some(&member.wanted) {
                continue;
            }
            if member.wanted.is_present {
                info!(
                    plugin = name,
                    "gone: its directory was removed, its state is kept"
                );
                round.note(name, "gone");
            }
            member.drain(Some(self.config.drain));
        }
    }

    /// Logs errors that are new.
    fn log(&mut self, errors: &[ServeError], round: &mut Round) {
        let texts: BTreeSet<_> = errors.iter().map(|error| chain(error)).collect();
        for text in texts.difference(&self.problems) {
            error!("not served: {text}");
        }
        for error in errors {
            let name = match error {
                ServeError::Config(error) => error.directory(),
                _ => None,
            };
            let place = name.map(|name| format!("{name}: ")).unwrap_or_default();
            round.note_problem(format!("{place}not served: {}", chain(error)));
        }
        self.problems = texts;
    }

    /// Logs warnings that are new.
    fn log_warnings(&mut self, warnings: &[String], round: &mut Round) {
        let warnings: BTreeSet<_> = warnings.iter().cloned().collect();
        for warning in warnings.difference(&self.warnings) {
            warn!("{warning}");
        }
        for warning in &warnings {
            round.note_warning(warning.clone());
        }
        self.warnings = warnings;
    }

    fn serve(&mut self, wanted: Wanted, round: &mut Round) -> Result<(), ServeError> {
        let name = wanted.plugin.name.clone();
        let others = self.members.keys().map(String::as_str);
        let endpoint = endpoint::bind(self.config, &self.activation, &name, others)?;
        if wanted.is_present {
            round.note(&name, "new");
        }
        let opened = round.expect(&name);
        let member = self.launch(wanted, endpoint, opened);
        self.members.insert(
            name.clone(),
            member.map_err(|source| ServeError::Thread {
                plugin: name,
                source,
            })?,
        );
        Ok(())
    }

    fn launch(
        &mut self,
        wanted: Wanted,
        endpoint: Endpoint,
        opened: oneshot::Sender<Vec<News>>,
    ) -> io::Result<Member> {
        let (order, orders) = unbounded_channel();
        let plugin = wanted.plugin.name.clone();
        let report = self.report.clone();
        let worker = Worker {
            spec: self.spec(&wanted.plugin),
            address: endpoint.address,
            opened: Some(opened),
            gate: self.gate.subscribe(),
            orders,
            report: report.clone(),
            late: Vec::new(),
        };
        let (address, listener) = (worker.address.to_string(), endpoint.listener);
        thread::Builder::new().name(plugin.clone()).spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| worker.run(listener)));
            let result = result.unwrap_or(Err(WorkerError::Panicked));
            // Nobody receives it while the process ends.
            let _ = report.send(Event::Ended { plugin, result });
        })?;
        Ok(Member {
            wanted,
            orders: order,
            address,
            file: endpoint.file,
            vitals: None,
            is_draining: false,
        })
    }

    fn spec(&mut self, plugin: &PluginDir) -> PluginSpec {
        let state = self.config.places.state.join(&plugin.name);
        let accepted = self.accepted.entry(plugin.name.clone()).or_default();
        PluginSpec {
            surroundings: self.surroundings.clone(),
            strict: self.config.strict,
            leaves: !plugin.is_named,
            accepted: accepted.clone(),
            trial: self.config.test_on_reload.then_some(Trial(testing::verify)),
            ..PluginSpec::new(plugin.name.clone(), plugin.dir.clone(), state)
        }
    }

    /// Expects a request, for which the directories are being read.
    pub fn expect(&mut self) {
        self.unsettled += 1;
    }

    /// Carries out an expected request, in the round that the reading of the directories began.
    pub fn reload(&mut self, request: Request, mut round: Round) {
        for (name, member) in &self.members {
            if member.is_draining || round.awaits(name) {
                continue;
            }
            let order = Order::Reload(Reload {
                accept_grants: request.accept_grants,
                done: round.expect(name),
            });
            // A worker that has ended is reported as such.
            let _ = member.orders.send(order);
        }
        self.unsettled -= 1;
        self.carry_out(round, request.answer);
    }

    /// Waits, beside other work, until all plugins have carried out a round.
    pub fn carry_out(&mut self, round: Round, answer: Option<oneshot::Sender<Report>>) {
        self.unsettled += 1;
        let report = self.report.clone();
        tokio::spawn(async move {
            let (done, has_ended) = round.report().await;
            if let Some(answer) = answer {
                // The client may have hung up.
                let _ = answer.send(done);
            }
            // Nobody receives it while the process ends.
            let _ = report.send(Event::Settled { has_ended });
        });
    }

    /// Orders every plugin to finish what is in flight, then end. The engine finds none any more.
    pub fn drain(&mut self) {
        let members = self.members.values_mut();
        members.for_each(|member| member.drain(None));
    }

    /// Whether any plugin's thread still runs.
    pub fn is_running(&self) -> bool {
        !self.members.is_empty()
    }

    /// Whether calls are answered, and no change is being carried out.
    pub fn is_settled(&self) -> bool {
        self.unsettled == 0 && *self.gate.borrow()
    }

    /// Returns the names of the plugins that are served.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let served = self
            .members
            .iter()
            .filter(|(_, member)| !member.is_draining);
        served.map(|(name, _)| name.as_str())
    }

    /// Returns what the process is doing.
    pub fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: timestamp(self.started),
            state: self.config.places.state.clone(),
            plugins: self.members.values().map(Member::status).collect(),
            problems: self.problems.iter().cloned().collect(),
        }
    }

    /// Returns where the calls of all plugins pass.
    pub fn tap(&self) -> &Tap {
        &self.surroundings.tap
    }

    /// Returns where reports to the main thread are sent.
    pub fn report(&self) -> &UnboundedSender<Event> {
        &self.report
    }

    /// Waits for the next event. A plugin that has ended is no longer a member.
    pub async fn event(&mut self) -> Event {
        let Some(event) = self.events.recv().await else {
            return std::future::pending().await;
        };
        match &event {
            Event::Settled { has_ended } => self.settle(*has_ended),
            Event::Ended { plugin, .. } => drop(self.members.remove(plugin)),
            Event::Ready(vitals) => {
                if let Some(member) = self.members.get_mut(vitals.meters().plugin()) {
                    member.vitals = Some(vitals.clone());
                }
            }
            _ => {}
        }
        event
    }

    fn settle(&mut self, has_ended: bool) {
        self.unsettled -= 1;
        // With `strict`, nobody is answered before all plugins are opened.
        if self.unsettled == 0 && !has_ended {
            self.gate.send_replace(true);
        }
    }
}

impl Member {
    fn status(&self) -> ServedPlugin {
        let phase = match &self.vitals {
            _ if self.is_draining => Phase::Draining,
            Some(_) => Phase::Serving,
            None => Phase::Opening,
        };
        ServedPlugin {
            name: self.wanted.plugin.name.clone(),
            directory: self.wanted.plugin.dir.clone(),
            address: self.address.clone(),
            phase,
            plugin: self.vitals.as_ref().map(|vitals| vitals.status()),
        }
    }

    fn drain(&mut self, within: Option<Duration>) {
        self.file = None;
        self.is_draining = true;
        // A worker that has ended needs no orders.
        let _ = self.orders.send(Order::Drain { within });
    }
}

impl Wanted {
    /// The plugin of a socket of systemd whose directory does not exist.
    fn absent(name: &str, dir: PathBuf) -> Wanted {
        Wanted {
            plugin: PluginDir {
                name: name.to_owned(),
                dir,
                is_named: false,
            },
            is_present: false,
        }
    }
}

fn surroundings(config: &Config) -> Surroundings {
    let text = |(name, value): (OsString, OsString)| {
        (
            name.to_string_lossy().into_owned(),
            value.to_string_lossy().into_owned(),
        )
    };
    let variables = env::vars_os()
        .filter(|_| config.settings_from_env)
        .map(text)
        .collect();
    Surroundings {
        variables,
        managed: config.managed,
        host_paths: config.host_paths.clone(),
        ..Surroundings::default()
    }
}
