//! Makes the steps. The only file of this stage that loads and attaches.
//!
//! ```text
//!   decide   read the state, look the places up, diff           nothing is changed
//!   replace  programs are new: NAME~ beside NAME, see `mend`    undone if a step fails
//!   repair   programs stay: hooks of NAME are put right         undone if a step fails
//!   check    the machine is asked whether it is so
//! ```

use super::diff::{Programs, Step, Wish as Wishes, diff};
use super::error::{DeployError, Result};
use super::hook::HookKey;
use super::maps::Migrated;
use super::mend::{self, mend};
use super::remove::{end, remove_entry};
use super::request::{Loading, Request, Wanted, resolve};
use super::state::{self, Actual, State, state};
use super::store::{Entry, Part, Store};
use super::{maps, repair, struct_ops, target};
use crate::kernel::Kernel;
use crate::links::inventory::{Look, survey};
use crate::links::{AttachedMode, Lifetime, Link, NetNs, Scope, Target, Xdp, XdpMode, XdpNetlink};
use crate::loader::{Loaded, Plan};
use crate::progs::Program;

/// What to do if something is deployed under the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It is an error.
    Fresh,
    /// It is replaced.
    Replace,
    /// It is changed as far as it is otherwise than wanted.
    Apply,
}

/// An attachment that stands.
#[derive(Debug)]
pub struct Made {
    /// Its link; `None` for what its hook keeps and kept before.
    pub link: Option<Link>,
    /// The program, or the map of a struct_ops table.
    pub program: String,
    /// The hook, for people.
    pub place: String,
    /// The name of its pin.
    pub pin: String,
    /// The place.
    pub key: Option<HookKey>,
    /// It was there before, with another program.
    pub kept: bool,
}

/// What was decided.
#[derive(Debug)]
pub struct Decision {
    /// How the object is loaded; `None` if its programs stay.
    pub plan: Option<Plan>,
    /// What is.
    pub state: State,
    /// What is wanted.
    pub wish: Wishes,
    /// The steps between.
    pub steps: Vec<Step>,
}

impl Decision {
    /// True if a step changes something.
    pub fn acts(&self) -> bool {
        self.steps.iter().any(Step::acts)
    }
}

/// What was done.
#[derive(Debug)]
pub struct Deployed {
    /// What was decided, and done.
    pub decision: Decision,
    /// The loaded object; `None` if the programs stayed.
    pub loaded: Option<Loaded>,
    /// What is attached now by this; as long as these values live, where nothing is pinned.
    pub made: Vec<Made>,
    /// What could not be attached where sections say, by the name of its program.
    pub failed: Vec<(String, DeployError)>,
    /// Something was there before.
    pub replaced: bool,
    /// Maps whose elements were copied.
    pub migrated: Vec<Migrated>,
}

impl Deployed {
    /// Leaves programs to the hooks that keep them, and closes the rest: what is pinned stays.
    pub fn leave(self) {
        leave(self.made);
    }
}

fn leave(made: Vec<Made>) {
    let links = made.into_iter().filter_map(|m| m.link);
    links.filter(|link| link.lifetime() == Lifetime::Hook).for_each(Link::leak);
}

impl Made {
    /// The hook keeps it, and no link.
    pub fn is_linkless(&self) -> bool {
        self.link.as_ref().is_none_or(|link| link.lifetime() == Lifetime::Hook)
    }
}

/// Does something in the network namespace of a request.
///
/// # Errors
/// The namespace cannot be entered; those of `act`.
pub fn within<T: Send>(netns: Option<&NetNs>, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    match netns {
        None | Some(NetNs::Current) => act(),
        Some(netns) => netns.open()?.enter(act)?,
    }
}

/// Reads what is and decides what to do; changes nothing. `entry` is none for what is not to be pinned.
///
/// # Errors
/// Those of planning; a place that is not there; a state that cannot be read.
pub fn decide(entry: Option<&Entry>, request: &Request, loading: &Loading, how: How) -> Result<Decision> {
    within(request.netns.as_ref(), || {
        let expected: Vec<NetNs> = request.netns.iter().cloned().collect();
        let state = match entry {
            Some(entry) if entry.exists()? => state(entry, &expected)?,
            _ => State::default(),
        };
        decide_from(entry, request, loading, how, state)
    })
}

/// The same with a state that was read already; for a thread that is where the request wants to be.
///
/// # Errors
/// As for [`decide`].
pub fn decide_from(
    entry: Option<&Entry>,
    request: &Request,
    loading: &Loading,
    how: How,
    state: State,
) -> Result<Decision> {
    let programs = loading.programs();
    let wanted = resolve(&request.wishes, &programs, request.wait)?;
    let before = resolve(&request.before, &programs, true)?;
    let tables = if request.tables { loading.tables() } else { Vec::new() };
    let mut wish = Wishes { wanted, tables, rest: request.rest, before, ..Wishes::default() };
    if how == How::Apply && is_same(request, &state, &wish) {
        wish.programs = Programs::Same;
        let steps = diff(&wish, &state)?;
        if !needs_load(&steps) {
            return Ok(Decision { plan: None, state, wish, steps });
        }
    }
    let mut plan = loading.plan()?;
    wish.tables = struct_ops::planned(&plan).into_iter().filter(|t| wish.tables.contains(t)).collect();
    wish.programs = Programs::New(plan.programs.iter().map(|p| p.name.clone()).collect());
    if let Some(entry) = entry {
        wish.maps = maps::fates(&mut plan, &state, entry, request.maps);
    }
    let steps = diff(&wish, &state)?;
    Ok(Decision { plan: Some(plan), state, wish, steps })
}

/// True if the programs that are there are those of the request.
fn is_same(request: &Request, state: &State, wish: &Wishes) -> bool {
    let digest = state.record.as_ref().map(|r| r.digest.as_str()).filter(|digest| !digest.is_empty());
    let pinned = |w: &Wanted| state.programs.iter().any(|(name, _)| *name == w.program);
    digest == Some(request.record.digest.as_str()) && wish.wanted.iter().all(pinned)
}

/// A table is registered with the programs of the load that filled it, and no program stands twice in a list: beside
/// itself it has to be loaded anew.
fn needs_load(steps: &[Step]) -> bool {
    steps.iter().any(|step| match step {
        Step::Attach { wanted, .. } => steps.iter().any(|other| {
            matches!(other, Step::Detach { actual } if actual.key == wanted.key && actual.program == wanted.program)
        }),
        other => matches!(other, Step::Table { .. }),
    })
}

/// Makes what is wanted so, pinned in the store. The caller holds the [lock](Store::lock).
///
/// # Errors
/// The first failure; what was there before is there again, as far as the kernel lets it.
pub fn deploy(store: &Store, request: &Request, loading: &Loading, how: How) -> Result<Deployed> {
    let entry = store.entry(&request.name)?;
    mend(&entry)?;
    if how == How::Fresh && entry.exists()? {
        return Err(DeployError::Loaded { name: request.name.clone(), path: entry.dir });
    }
    let decision = decide(Some(&entry), request, loading, how)?;
    let done = within(request.netns.as_ref(), || {
        let done = if decision.wish.programs == Programs::Same {
            repair::run(&entry, request, loading, decision)?
        } else {
            replace(&entry, request, loading, decision)?
        };
        if let Err(e) = check(&entry, &done) {
            done.leave();
            return Err(e);
        }
        Ok(done)
    });
    if done.is_err() {
        store.tidy();
    }
    done
}

/// Loads and attaches without pins: it lasts as long as the answer lives.
///
/// # Errors
/// The first failure; nothing is left then.
pub fn hold(request: &Request, loading: &Loading) -> Result<Deployed> {
    let decision = decide(None, request, loading, How::Fresh)?;
    within(request.netns.as_ref(), || {
        let loaded = load(&decision)?;
        let mut act = Act {
            entry: None,
            kernel: &loading.kernel,
            loaded: &loaded,
            made: Vec::new(),
            failed: Vec::new(),
        };
        act.attach_all(&decision.steps)?;
        let (made, failed) = act.finish(request.strict)?;
        Ok(Deployed { decision, loaded: Some(loaded), made, failed, replaced: false, migrated: Vec::new() })
    })
}

/// Loads the object and gives it the hooks; what was there before goes when all is done.
fn replace(old: &Entry, request: &Request, loading: &Loading, decision: Decision) -> Result<Deployed> {
    let loaded = load(&decision)?;
    let migrated = maps::migrate(&decision.steps, &decision.state, &loaded)?;
    let new = old.successor();
    new.make()?;
    let mut undo = Undo::default();
    let built = build(old, &new, request, &loading.kernel, &decision, &loaded, &mut undo);
    let built = built.and_then(|built| {
        request.record.write(&new);
        mend::settle(old, &new)?;
        Ok(built)
    });
    match built {
        Ok((made, failed)) => {
            undo.keep();
            let replaced = !decision.state.programs.is_empty() || !decision.state.attached.is_empty();
            Ok(Deployed { decision, loaded: Some(loaded), made, failed, replaced, migrated })
        }
        Err(e) => {
            // Once the old one has lost its name there is no way back: the next command goes on.
            if new.exists()? && !old.outgoing().exists()? {
                undo.run();
                let _ = remove_entry(&new);
            }
            Err(e)
        }
    }
}

fn load(decision: &Decision) -> Result<Loaded> {
    let missing = || DeployError::wish("programs", "there is no plan for loading them");
    Ok(decision.plan.as_ref().ok_or_else(missing)?.run()?)
}

type Built = (Vec<Made>, Vec<(String, DeployError)>);

/// Everything up to the change of names.
fn build(
    old: &Entry,
    new: &Entry,
    request: &Request,
    kernel: &Kernel,
    decision: &Decision,
    loaded: &Loaded,
    undo: &mut Undo,
) -> Result<Built> {
    let steps = &decision.steps;
    let mut act = Act { entry: Some(new), kernel, loaded, made: Vec::new(), failed: Vec::new() };
    for step in steps {
        match step {
            Step::Update { actual, program, place } if actual.link.is_some() && !is_table(actual) => {
                act.update(old, actual, program, place, undo)?;
            }
            Step::Again { actual, wanted, .. } => act.again(old, actual, wanted, undo)?,
            _ => {}
        }
    }
    act.attach_all(steps)?;
    let strict = request.strict || old.exists()?;
    let (mut made, failed) = act.finish(strict)?;
    pin(new, loaded, &made)?;
    let linkless = steps.iter().filter_map(|step| match step {
        Step::Update { actual, program, place } if actual.link.is_none() && !is_table(actual) => {
            Some((actual, program.as_str(), place.as_str()))
        }
        _ => None,
    });
    made.extend(update_linkless(new, &decision.state, loaded, linkless.collect(), undo)?);
    // Last, as there is no way back: the old table's functions are not known any more.
    for step in steps {
        if let Step::Update { actual, program, .. } = step {
            if is_table(actual) {
                let path = old.path(Part::Links, &actual.pin);
                let link = Link::open_pin(&path).map_err(DeployError::open("link", &path))?;
                made.push(struct_ops::replace(link, &actual.pin, program, loaded)?);
            }
        }
    }
    Ok((made, failed))
}

fn is_table(actual: &Actual) -> bool {
    matches!(actual.key, Some(HookKey::StructOps { .. }))
}

/// What attaches the programs of a loaded object.
struct Act<'a> {
    /// Where to write down what hooks keep; none for what is not pinned.
    entry: Option<&'a Entry>,
    kernel: &'a Kernel,
    loaded: &'a Loaded,
    made: Vec<Made>,
    failed: Vec<(String, DeployError)>,
}

impl Act<'_> {
    /// Everything that is to be attached where nothing of ours is.
    fn attach_all(&mut self, steps: &[Step]) -> Result<()> {
        for step in steps {
            match step {
                Step::Attach { wanted, .. } => {
                    let Some(program) = self.loaded.program(&wanted.program) else { continue };
                    match self.attach(program, wanted) {
                        Ok(made) => self.made.push(made),
                        Err(e) if wanted.by_section => self.failed.push((wanted.program.clone(), e)),
                        Err(e) => return Err(e),
                    }
                }
                Step::Table { map } => {
                    let Some(found) = struct_ops::tables(self.loaded).find(|m| m.name() == map) else {
                        continue;
                    };
                    match struct_ops::attach(self.entry, self.loaded, found) {
                        Ok(made) => self.made.push(made),
                        Err(e) => self.failed.push((map.clone(), e)),
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn attach(&self, program: &Program, wanted: &Wanted) -> Result<Made> {
        let taken = |pin: &str| self.made.iter().any(|m| m.pin == pin);
        attach(self.entry, self.kernel, self.loaded.maps(), program, wanted, taken)
    }

    /// Puts a program of ours behind a link of the old one's.
    fn update(
        &mut self,
        old: &Entry,
        actual: &Actual,
        program: &str,
        place: &str,
        undo: &mut Undo,
    ) -> Result<()> {
        let Some(after) = self.loaded.program(program) else {
            let (program, place) = (program.to_string(), place.to_string());
            return Err(DeployError::NoSuccessor { program, place });
        };
        let path = old.path(Part::Links, &actual.pin);
        let open = || Link::open_pin(&path).map_err(DeployError::open("link", &path));
        let before = Program::open_id(actual.prog_id)
            .map_err(DeployError::sys("open the program that is attached"))?;
        if let Some(new) = self.entry {
            keep_before(new, &actual.pin, &before)?;
        }
        let link = open()?;
        link.update(after, Some(&before))
            .map_err(DeployError::sys(format!("replace the program of {place}")))?;
        undo.swapped.push((open()?, before));
        let key = actual.key.clone();
        let (program, place, pin) = (program.into(), place.into(), actual.pin.clone());
        self.made.push(Made { link: Some(link), program, place, pin, key, kept: true });
        Ok(())
    }

    /// Detaches an XDP program and attaches its successor in another way.
    fn again(&mut self, old: &Entry, actual: &Actual, wanted: &Wanted, undo: &mut Undo) -> Result<()> {
        let Some(program) = self.loaded.program(&wanted.program) else { return Ok(()) };
        undo.again.push(take_away(old, actual, wanted)?);
        let made = self.attach(program, wanted)?;
        self.made.push(made);
        Ok(())
    }

    /// An error if there is nothing but failures, or any at all if all has to succeed.
    fn finish(mut self, strict: bool) -> Result<Built> {
        if self.failed.is_empty() || !strict && !self.made.is_empty() {
            return Ok((self.made, self.failed));
        }
        Err(self.failed.swap_remove(0).1)
    }
}

/// Attaches a program; what its hook may keep without a link is written down in `entry` first.
pub(super) fn attach<'m>(
    entry: Option<&Entry>,
    kernel: &Kernel,
    maps: impl IntoIterator<Item = &'m crate::Map>,
    program: &Program,
    wanted: &Wanted,
    is_taken: impl Fn(&str) -> bool,
) -> Result<Made> {
    let record = entry.filter(|_| target::may_be_without_link(&wanted.target));
    let there = |pin: &str| is_taken(pin) || record.is_some_and(|e| e.path(Part::Linkless, pin).exists());
    let pin = mend::unique(&wanted.pin().replace('.', "_"), there);
    if let Some(entry) = record {
        entry.note_linkless(&pin, program)?;
    }
    let target = target::ready(&wanted.target, maps)?;
    let link = crate::links::attach_on(kernel, program, &target)?;
    if let Some(entry) = record.filter(|_| link.lifetime() != Lifetime::Hook) {
        entry.forget_linkless(&pin)?;
    }
    // What it was bound to when it was loaded, only its section says.
    let place = match target {
        Target::Trace(_) | Target::Iter(_) => program.section().to_string(),
        _ => wanted.place(),
    };
    if entry.is_some() && !link.can_outlive_process() {
        return Err(DeployError::NotInPlace {
            what: format!("`{}` cannot stay attached to {place} when this process ends", program.name()),
            why: "this kernel has no links for perf events (they came with Linux 5.15)".into(),
        });
    }
    Ok(Made {
        link: Some(link),
        program: program.name().into(),
        place,
        pin,
        key: wanted.key.clone(),
        kept: false,
    })
}

pub(super) fn keep_before(new: &Entry, pin: &str, before: &Program) -> Result<()> {
    let path = new.pin(Part::Before, pin)?;
    before.pin(&path).map_err(DeployError::sys(format!("keep the program that is attached ({pin})")))
}

/// What was taken away, and how to put it back.
#[derive(Debug)]
pub(super) struct Taken {
    program: Program,
    target: Target,
}

/// Detaches an XDP program that cannot stay as it is.
pub(super) fn take_away(entry: &Entry, actual: &Actual, wanted: &Wanted) -> Result<Taken> {
    let doing = || format!("detach {}", actual.place);
    let program =
        Program::open_id(actual.prog_id).map_err(DeployError::sys("open the program that is attached"))?;
    let interface = target::interface(&wanted.target).unwrap_or_default().to_string();
    let mode = match actual.mode {
        Some(AttachedMode::Native) => XdpMode::Native,
        Some(AttachedMode::Generic) => XdpMode::Generic,
        Some(AttachedMode::Offloaded) => XdpMode::Offloaded,
        None => XdpMode::Auto,
    };
    let target = match actual.link {
        Some(_) => Target::Xdp(Xdp { interface, mode }),
        None => Target::XdpNetlink(XdpNetlink::new(interface, mode)),
    };
    match (actual.link, &actual.key) {
        (Some(_), _) => {
            let path = entry.path(Part::Links, &actual.pin);
            let link = Link::open_pin(&path).map_err(DeployError::open("link", &path))?;
            end(link).map_err(DeployError::sys(doing()))?;
        }
        (None, Some(key)) => {
            let all = survey(&Look { scope: Scope::Here, cgroups: false, maps: false, holders: false });
            for found in mend::at(&all, actual.prog_id, key, &[]) {
                all.open(&found).and_then(Link::detach).map_err(DeployError::sys(doing()))?;
            }
        }
        (None, None) => {}
    }
    Ok(Taken { program, target })
}

impl Taken {
    /// Puts it back: as well as it can be.
    pub(super) fn put_back(self, entry: &Entry, pin: &str) {
        let Ok(link) = crate::links::attach(&self.program, &self.target) else { return };
        if link.lifetime() == Lifetime::Hook {
            link.leak();
        } else {
            let path = entry.path(Part::Links, pin);
            let _ = std::fs::remove_file(&path);
            let _ = link.pin(&path);
        }
    }
}

/// What to do if a step fails.
#[derive(Debug, Default)]
pub(super) struct Undo {
    pub(super) swapped: Vec<(Link, Program)>,
    pub(super) again: Vec<Taken>,
}

impl Undo {
    /// Gives hooks their old programs back.
    pub(super) fn run(&mut self) {
        for (link, before) in &self.swapped {
            let _ = link.update(before, None);
        }
        for taken in self.again.drain(..) {
            if let Ok(link) = crate::links::attach(&taken.program, &taken.target) {
                link.leak();
            }
        }
        self.keep();
    }

    /// Lets go of what was changed, without ending what its hook keeps.
    pub(super) fn keep(&mut self) {
        for (link, _) in self.swapped.drain(..) {
            if link.lifetime() == Lifetime::Hook {
                link.leak();
            }
        }
        self.again.clear();
    }
}

/// Pins everything. Links come last: once one is pinned, the program stays attached.
fn pin(entry: &Entry, loaded: &Loaded, made: &[Made]) -> Result<()> {
    for program in loaded.programs() {
        let path = entry.pin(Part::Programs, program.name())?;
        program.pin(&path).map_err(DeployError::sys(format!("pin program `{}`", program.name())))?;
    }
    loaded.maps().try_for_each(|map| struct_ops::pin(entry, map))?;
    for m in made.iter().filter(|m| !m.kept && !m.is_linkless()) {
        let Some(link) = &m.link else { continue };
        let path = entry.pin(Part::Links, &m.pin)?;
        link.pin(&path).map_err(DeployError::sys(format!("pin the link of {}", m.place)))?;
    }
    Ok(())
}

/// Changes what hooks keep by themselves. What is to change is written down before.
fn update_linkless(
    new: &Entry,
    state: &State,
    loaded: &Loaded,
    steps: Vec<(&Actual, &str, &str)>,
    undo: &mut Undo,
) -> Result<Vec<Made>> {
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let own: Vec<(u32, String)> = state.maps.iter().map(|(_, m)| (m.info().id, m.name().into())).collect();
    let all = survey(&Look { scope: Scope::Everywhere, cgroups: true, maps: true, holders: false });
    let mut made = Vec::new();
    for (actual, program, place) in steps {
        let Some(after) = loaded.program(program) else { continue };
        let Some(key) = &actual.key else { continue };
        let doing = || format!("replace the program of {place}");
        let open = |id| Program::open_id(id).map_err(DeployError::sys("open the program that is attached"));
        new.note_linkless(&actual.pin, after)?;
        keep_before(new, &actual.pin, &open(actual.prog_id)?)?;
        for found in mend::at(&all, actual.prog_id, key, &own) {
            let before = open(actual.prog_id)?;
            let link = all.open(&found).map_err(DeployError::sys(doing()))?;
            let changed = link.update(after, Some(&before));
            undo.swapped.push((link, before));
            changed.map_err(DeployError::sys(doing()))?;
        }
        let (program, place, pin) = (program.to_string(), place.to_string(), actual.pin.clone());
        made.push(Made { link: None, program, place, pin, key: Some(key.clone()), kept: true });
    }
    Ok(made)
}

/// Asks the machine whether what was made stands: for links one question each, for the rest the hooks.
fn check(entry: &Entry, done: &Deployed) -> Result<()> {
    for made in &done.made {
        let Some(link) = made.link.as_ref().filter(|link| link.fd().is_some()) else { continue };
        let info = link.info().map_err(DeployError::sys("ask about a link"))?;
        if let Some(why) = state::dead(&info.hook) {
            let what = format!("`{}` at {}", made.program, made.place);
            return Err(DeployError::NotSo { what, why: why.into() });
        }
        if made.kept {
            continue;
        }
        // Its pin is all that keeps it.
        let path = entry.path(Part::Links, &made.pin);
        let pinned = Link::open_pin(&path).and_then(|l| l.info()).map(|l| l.id);
        if pinned.ok() != Some(info.id) {
            let what = format!("`{}` at {}", made.program, made.place);
            return Err(DeployError::NotSo { what, why: format!("{} is not its pin", path.display()) });
        }
    }
    if done.made.iter().all(|m| !m.is_linkless()) {
        return Ok(());
    }
    let state = state(entry, &[])?;
    for made in done.made.iter().filter(|m| m.is_linkless()) {
        let there = |a: &Actual| {
            a.is_alive() && a.program == made.program && (made.key.is_none() || a.key == made.key)
        };
        let asked = !matches!(
            made.key,
            None | Some(HookKey::Untold { .. } | HookKey::StructOps { .. } | HookKey::Sockmap { .. })
        );
        if asked && !state.attached.iter().any(there) {
            let what = format!("`{}` at {}", made.program, made.place);
            return Err(DeployError::NotSo { what, why: "the hook does not have it".into() });
        }
    }
    Ok(())
}
