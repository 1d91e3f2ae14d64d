//! The workers' part of a plan: its order, who is left alone, and what its linter refuses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use support::{origin, product, sound, titles, with_actions, world};
use xr_model::{Action, Desired, DesiredFleet, Digest, ImageRef, Observed, ObservedWorker, PinnedImage, Plan, Quorum};
use xr_plan::lint;

const IMAGES: [&str; 2] = ["acme/agent:v2", "acme/task:v2"];

fn image(reference: &str) -> PinnedImage {
    PinnedImage {
        reference: ImageRef::new(reference),
        digest: Some(digest(reference)),
        image_id: String::new(),
        services: vec![],
        versioned: true,
    }
}

fn digest(reference: &str) -> Digest {
    Digest(format!("sha256:{reference}"))
}

/// A worker of which only the images named are there.
fn worker(name: &str, has: &[&str], up_to_date: bool) -> ObservedWorker {
    ObservedWorker { name: name.into(), images: has.iter().map(|one| digest(one).0).collect(), up_to_date }
}

/// The stack of the field, one version behind, and these workers of `all`.
fn fleet(workers: Vec<ObservedWorker>, quorum: Quorum, all: usize) -> (Desired, Observed) {
    let (mut desired, mut observed) = world(product(), &["db"]);
    desired.fleet = Some(DesiredFleet { images: IMAGES.map(image).to_vec(), agent: true, quorum, all });
    observed.fleet = workers;
    (desired, observed)
}

/// Where the plan's only step of this title is.
fn at(plan: &Plan, title: &str) -> usize {
    let all: Vec<String> = plan.steps().map(|step| step.action.title()).collect();
    let mut found = all.iter().enumerate().filter(|(_, one)| *one == title).map(|(at, _)| at);
    let first = found.next().unwrap_or_else(|| panic!("no `{title}` in {all:#?}"));
    assert_eq!(found.next(), None, "`{title}` twice in {all:#?}");
    first
}

/// What the plan does with a worker, in order.
fn done_with(plan: &Plan, name: &str) -> Vec<String> {
    let mut titles: Vec<String> = plan.steps().map(|step| step.action.title()).collect();
    titles.retain(|title| title.contains(&format!("worker {name}")));
    titles
}

fn needed(plan: &Plan) -> Vec<usize> {
    let needed = plan.steps().filter_map(|step| match step.action {
        Action::VerifyFleet { needed } => Some(needed),
        _ => None,
    });
    needed.collect()
}

#[test]
fn workers_are_staged_with_the_images_switched_after_the_control_host_and_confirmed_once_it_is_recorded() {
    let (desired, observed) = fleet(vec![worker("w1", &[], false), worker("w2", &[IMAGES[0]], false)], Quorum::All, 2);
    let (alone, host) = world(product(), &["db"]);
    // The control host's own order is what it is without them.
    let mut expected = titles(&sound(&alone, &host, &origin()));
    for (before, title) in [
        ("back up dump of db", "stage worker w1: 2 images + stage worker w2: 1 images"),
        ("watch for 10 s", "switch worker w1 + switch worker w2"),
        ("record generation 2", "verify the workers: 2 at least"),
        ("remove old containers", "confirm worker w1 + confirm worker w2"),
    ] {
        let at = expected.iter().position(|one| one == before).unwrap();
        expected.insert(at, title.to_owned());
    }
    assert_eq!(titles(&sound(&desired, &observed, &origin())), expected);
}

#[test]
fn a_worker_is_staged_before_anything_is_touched_also_when_nothing_has_to_be_backed_up() {
    let (mut desired, observed) = fleet(vec![worker("w1", &[], false)], Quorum::All, 1);
    desired.backups.clear();
    let plan = sound(&desired, &observed, &origin());
    let touched = plan.steps().position(|step| step.action.touches_the_stack()).unwrap();
    assert!(at(&plan, "stage worker w1: 2 images") < touched);
    assert!(at(&plan, "smoke check") < at(&plan, "switch worker w1"));
    assert!(at(&plan, "verify the workers: 1 at least") < at(&plan, "record generation 2"));
    assert!(at(&plan, "record generation 2") < at(&plan, "confirm worker w1"));
}

#[test]
fn what_is_staged_is_what_the_worker_lacks() {
    let (desired, observed) = fleet(vec![worker("w1", &[IMAGES[1]], false)], Quorum::All, 1);
    let plan = sound(&desired, &observed, &origin());
    let lacks = plan.steps().find_map(|step| match &step.action {
        Action::StageWorker { lacks, .. } => Some(lacks.clone()),
        _ => None,
    });
    assert_eq!(lacks.unwrap(), [ImageRef::new(IMAGES[0])]);
}

#[test]
fn a_worker_that_is_up_to_date_is_left_alone() {
    let (desired, observed) = fleet(vec![worker("w1", &IMAGES, true), worker("w2", &[], false)], Quorum::All, 2);
    let plan = sound(&desired, &observed, &origin());
    assert!(done_with(&plan, "w1").is_empty());
    assert_eq!(done_with(&plan, "w2"), ["stage worker w2: 2 images", "switch worker w2", "confirm worker w2"]);

    let (desired, observed) = fleet(vec![worker("w1", &IMAGES, true)], Quorum::All, 1);
    let plan = sound(&desired, &observed, &origin());
    assert!(done_with(&plan, "w1").is_empty() && needed(&plan).is_empty());
}

#[test]
fn a_worker_whose_agent_is_right_and_that_only_lacks_images_is_staged_and_not_switched() {
    let (desired, observed) = fleet(vec![worker("w1", &[IMAGES[0]], true)], Quorum::All, 1);
    let plan = sound(&desired, &observed, &origin());
    assert_eq!(done_with(&plan, "w1"), ["stage worker w1: 1 images"]);
    assert!(needed(&plan).is_empty());
}

#[test]
fn a_worker_with_all_images_and_another_agent_is_staged_for_its_new_container() {
    let (desired, observed) = fleet(vec![worker("w1", &IMAGES, false)], Quorum::All, 1);
    let plan = sound(&desired, &observed, &origin());
    assert_eq!(done_with(&plan, "w1"), ["stage worker w1", "switch worker w1", "confirm worker w1"]);
}

#[test]
fn a_stack_without_an_agent_has_nothing_to_switch_on_its_workers() {
    let (mut desired, observed) = fleet(vec![worker("w1", &[], false)], Quorum::All, 1);
    desired.fleet.as_mut().unwrap().agent = false;
    let plan = sound(&desired, &observed, &origin());
    assert_eq!(done_with(&plan, "w1"), ["stage worker w1: 2 images"]);
}

#[test]
fn an_image_without_a_digest_is_known_by_its_id() {
    let (mut desired, observed) = fleet(vec![worker("w1", &[IMAGES[0]], true)], Quorum::All, 1);
    let built = PinnedImage { digest: None, image_id: digest(IMAGES[0]).0, ..image(IMAGES[0]) };
    desired.fleet.as_mut().unwrap().images = vec![built];
    assert!(done_with(&sound(&desired, &observed, &origin()), "w1").is_empty());
}

#[test]
fn the_quorum_says_how_many_must_have_it_and_whether_one_that_fails_fails_the_run() {
    let present = || (1..=3).map(|number| worker(&format!("w{number}"), &[], false)).collect::<Vec<_>>();
    for (quorum, all, wanted) in [
        // Of those that take part.
        (Quorum::All, 5, 3),
        // Of all, the absent too.
        (Quorum::Majority, 3, 2),
        (Quorum::Majority, 4, 3),
        (Quorum::Majority, 5, 3),
        (Quorum::AtLeast(1), 5, 1),
        (Quorum::AtLeast(3), 3, 3),
    ] {
        let (desired, observed) = fleet(present(), quorum, all);
        let plan = sound(&desired, &observed, &origin());
        assert_eq!(needed(&plan), [wanted], "{quorum} of {all}");
        let musts: Vec<bool> = plan
            .steps()
            .filter_map(|step| match step.action {
                Action::SwitchWorker { must, .. } => Some(must),
                _ => None,
            })
            .collect();
        assert_eq!(musts, [quorum == Quorum::All; 3], "{quorum} of {all}");
    }
}

/// A sound plan for two workers with its actions changed, numbered anew: what the linter says of it.
fn refused(change: impl FnOnce(&mut Vec<Action>)) -> Vec<String> {
    let (desired, observed) = fleet(vec![worker("w1", &[], false), worker("w2", &[], false)], Quorum::All, 2);
    let plan = sound(&desired, &observed, &origin());
    let mut actions: Vec<Action> = plan.steps().map(|step| step.action.clone()).collect();
    change(&mut actions);
    lint(&with_actions(&plan, actions), &desired)
}

fn find(actions: &[Action], title: &str) -> usize {
    actions.iter().position(|action| action.title() == title).unwrap()
}

/// Takes a step out and puts it where another one is.
fn put_before(actions: &mut Vec<Action>, title: &str, other: &str) {
    let moved = actions.remove(find(actions, title));
    actions.insert(find(actions, other), moved);
}

fn take_out(actions: &mut Vec<Action>, title: &str) {
    actions.remove(find(actions, title));
}

#[test]
fn a_plan_that_is_only_numbered_anew_is_sound() {
    assert_eq!(refused(|_| {}), Vec::<String>::new());
}

#[test]
fn a_worker_that_is_switched_without_being_staged_is_refused() {
    let never = refused(|actions| take_out(actions, "stage worker w1: 2 images"));
    assert_eq!(never, ["worker w1 is switched without being staged"]);
    let late = refused(|actions| put_before(actions, "stage worker w1: 2 images", "verify the workers: 2 at least"));
    assert!(late.contains(&"worker w1 is switched without being staged".to_owned()), "{late:?}");
    assert!(late.iter().any(|rule| rule.starts_with("the stack is touched before everything")), "{late:?}");
}

#[test]
fn a_worker_that_is_confirmed_before_the_record_or_without_a_switch_is_refused() {
    let early = refused(|actions| put_before(actions, "confirm worker w2", "record generation 2"));
    assert_eq!(early, ["worker w2 is confirmed before the generation is recorded"]);
    let unswitched = refused(|actions| take_out(actions, "switch worker w2"));
    assert_eq!(unswitched, ["worker w2 is confirmed without being switched"]);
}

#[test]
fn a_record_before_the_workers_are_verified_is_refused() {
    const RULE: &str = "the generation is recorded before the workers are verified";
    assert_eq!(refused(|actions| take_out(actions, "verify the workers: 2 at least")), [RULE]);
    assert_eq!(
        refused(|actions| put_before(actions, "verify the workers: 2 at least", "confirm worker w1")),
        [RULE],
        "verified after it"
    );
    assert_eq!(
        refused(|actions| put_before(actions, "verify the workers: 2 at least", "switch worker w2")),
        [RULE],
        "verified before the last was switched"
    );
}

#[test]
fn a_worker_that_is_switched_before_the_control_host_serves_is_refused() {
    let early = refused(|actions| put_before(actions, "switch worker w1", "smoke check"));
    assert_eq!(early, ["worker w1 is switched before `smoke check`"]);
}

#[test]
fn a_worker_that_nobody_confirms_or_that_is_switched_twice_is_refused() {
    let unconfirmed = refused(|actions| take_out(actions, "confirm worker w1"));
    assert_eq!(unconfirmed, ["worker w1 is switched and never confirmed"]);
    let twice = refused(|actions| {
        let at = find(actions, "switch worker w1");
        let again = actions[at].clone();
        actions.insert(at, again);
    });
    assert_eq!(twice, ["worker w1 is switched twice"]);
}
