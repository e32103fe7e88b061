use rand::SeedableRng as _;

use super::*;

fn object(name: &str, place: [f64; 3]) -> SceneObject {
    SceneObject {
        name: name.into(),
        place: Vector3::from(place),
        half: Vector3::zeros(),
        words: Vec::new(),
        turn: None,
        points: None,
    }
}

fn objects() -> Vec<SceneObject> {
    let mut block = object("the red block", [0.3, 0.1, 0.02]);
    block.turn = Some(-0.35);
    let mut gripper = object("the tip of the gripper", [0.4, -0.1, 0.3]);
    gripper.points = Some(Vector3::new(0.5, 0.0, -(0.75f64.sqrt())));
    vec![block, gripper, object("the plate", [0.3, -0.2, 0.0])]
}

fn find(category: usize, asked: &str) -> String {
    let of = all(&objects())[category].clone();
    of.into_iter().find(|one| one.question.contains(asked)).unwrap().answer
}

#[test]
fn left_is_the_arm_s_left_and_behind_is_towards_its_base() {
    let answer = find(2, "Is the red block left or right of the plate?");
    assert!(answer.ends_with("Its y is 0.300, which is positive, so the red block is left of the plate."));
    let answer = find(3, "Is the plate in front of or behind the tip of the gripper?");
    assert!(answer.ends_with("Its x is -0.100, which is negative, so the plate is behind the tip of the gripper."));
    let answer = find(4, "Is the tip of the gripper above or below the plate?");
    assert!(answer.ends_with("so the tip of the gripper is above the plate."));
    // At the same distance in front: not asked.
    assert!(
        !all(&objects())[3]
            .iter()
            .any(|one| one.question.contains("the red block in front of or behind the plate"))
    );
}

#[test]
fn answers_show_their_steps() {
    assert_eq!(
        find(1, "How far is the plate from the red block?"),
        "The 3D location of the plate is (0.300, -0.200, 0.000). The 3D location of the red block is (0.300, 0.100, \
         0.020). The vector from the plate to the red block is (0.000, 0.300, 0.020). Its length is the distance \
         between them: 0.30 m."
    );
    assert!(find(5, "closer to the plate, the red block or").ends_with("so the red block is closer to the plate."));
    assert!(
        find(6, "the red block")
            .ends_with("The angle from x is -20 degrees, so the red block is turned by -20 degrees.")
    );
    assert!(find(7, "tilted").ends_with("is 0.866, so the angle between them is 30 degrees."));
}

#[test]
fn questions_differ_and_follow_from_the_seed() {
    let drawn = |seed, count| draw(&objects(), count, &mut ChaCha8Rng::seed_from_u64(seed));
    assert_eq!(drawn(1, 6), drawn(1, 6));
    assert_ne!(drawn(1, 6), drawn(2, 6));
    let every: usize = all(&objects()).iter().map(Vec::len).sum();
    let mut questions: Vec<String> = drawn(1, 1000).into_iter().map(|one| one.question).collect();
    assert_eq!(questions.len(), every);
    questions.sort_unstable();
    questions.dedup();
    assert_eq!(questions.len(), every);
}
