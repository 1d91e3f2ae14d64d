//! Pulling onto a disk that is too small.

mod world;

use world::{Engine, Registry, brisk, image, mirrors, run, silent};
use xr_image_puller::{PullError, pull};

#[test]
fn a_full_disk_names_the_engines_folder_and_is_not_tried_again() {
    let (registry, maker) = (Registry::start(), Engine::start());
    let reference = format!("{}/acme/big:v1", registry.host());
    let digest = maker.publish(&reference, &[24_000]);
    let small = Engine::with_disk(16);
    let error =
        run(pull(&small.docker, &image(&reference, Some(&digest)), &mirrors(&[]), &brisk(), &silent)).unwrap_err();
    let PullError::NoSpace { root, .. } = &error else { panic!("{error:?}") };
    assert!(root.ends_with("/root"), "{root}");
    let fault = error.into_fault();
    assert!(fault.message.contains("/root") && fault.message.contains(&reference), "{}", fault.message);
    assert!(fault.hint.unwrap().contains("xr prune"));
}
