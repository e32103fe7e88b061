//! The physics: MuJoCo, accessed by names instead of indices.

use std::sync::Arc;

use mujoco_rs::prelude::{MjData, MjModel, MjtObjBase};
use nalgebra::{Quaternion, Translation3, UnitQuaternion, Vector3};

use super::config::SimConfig;
use super::error::SimError;
use super::scene::{self, SceneOptions};
use super::tasks::TaskLayout;
use crate::control::kinematics::ArmModel;
use crate::types::{JOINTS, Joints, Pose};

/// Physics step (s).
pub const STEP_S: f64 = 0.002;

/// Travel of each finger (m); the opening is twice this.
pub const FINGER_TRAVEL: f64 = 0.035;

/// Arm of the scene.
pub const ARM: ArmModel = ArmModel::Rm75;

/// Returns the joints at the start of an episode (rad): the tool points down in front of the arm.
pub fn start_joints() -> Joints {
    Joints::from([0.0, 30.0, 0.0, 60.0, 0.0, 90.0, 0.0].map(f64::to_radians))
}

/// Targets of the servos.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setpoint {
    /// Joint positions (rad).
    pub joints: Joints,
    /// Gripper, 0 closed to 1 open.
    pub opening: f64,
}

/// Contacts of the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockContacts {
    /// Whether the left finger touches it.
    pub left: bool,
    /// Whether the right finger touches it.
    pub right: bool,
    /// Whether the palm touches it.
    pub palm: bool,
    /// Whether something touches it that may support it at the goal.
    pub support: bool,
    /// Whether anything else touches it.
    pub other: bool,
}

impl BlockContacts {
    /// Reports whether any part of the gripper touches the block.
    pub fn gripper(self) -> bool {
        self.left || self.right || self.palm
    }
}

/// Speed of the block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObjectSpeed {
    /// Linear speed (m/s).
    pub linear_m_s: f64,
    /// Angular speed (rad/s).
    pub angular_rad_s: f64,
}

/// State that rendering needs, independent of the physics.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) model: Arc<MjModel>,
    pub(super) positions: Vec<f64>,
}

/// Arm, gripper, table and block.
pub struct World {
    data: MjData<Arc<MjModel>>,
    model: Arc<MjModel>,
    ids: Ids,
    supports: Vec<i32>,
}

/// Indices into MuJoCo's arrays.
struct Ids {
    /// Position and velocity index of joint1; the others follow.
    joints: Addresses,
    /// Position index of the left finger.
    finger: usize,
    object: Addresses,
    object_body: usize,
    object_geom: i32,
    left_pad: i32,
    right_pad: i32,
    palm: i32,
    flange: usize,
}

#[derive(Clone, Copy)]
struct Addresses {
    position: usize,
    velocity: usize,
}

impl World {
    /// Creates the start of an episode, with the arm at [`start_joints`] and the gripper open.
    ///
    /// # Errors
    /// When MuJoCo refuses the scene.
    pub fn new(config: &SimConfig, layout: &TaskLayout, options: SceneOptions) -> Result<Self, SimError> {
        let text = scene::mjcf(layout, &config.block, options);
        let model = Arc::new(MjModel::from_xml_string(&text).map_err(|e| SimError::Scene(e.to_string()))?);
        let ids = Ids::of(&model)?;
        let supports = layout.goal.supports.iter().map(|name| geom(&model, name));
        let supports = supports.collect::<Result<Vec<_>, _>>()?;
        let data = MjData::try_new(Arc::clone(&model)).map_err(|e| SimError::Scene(e.to_string()))?;
        let mut world = Self {
            data,
            model,
            ids,
            supports,
        };
        world.place_arm(&Setpoint {
            joints: start_joints(),
            opening: 1.0,
        });
        Ok(world)
    }

    /// Places arm and gripper at rest, without simulating a motion.
    pub fn place_arm(&mut self, at: &Setpoint) {
        let first = self.ids.joints;
        copy(self.data.qpos_mut(), first.position, at.joints.as_slice());
        copy(self.data.qvel_mut(), first.velocity, &[0.0; JOINTS + 2]);
        let fingers = [at.opening * FINGER_TRAVEL; 2];
        copy(self.data.qpos_mut(), self.ids.finger, &fingers);
        self.set(at);
        self.data.forward();
    }

    /// Places the block at rest, without simulating a motion.
    pub fn place_object(&mut self, at: &Pose) {
        let (p, q) = (at.translation, at.rotation);
        let values = [p.x, p.y, p.z, q.w, q.i, q.j, q.k];
        copy(self.data.qpos_mut(), self.ids.object.position, &values);
        copy(self.data.qvel_mut(), self.ids.object.velocity, &[0.0; 6]);
        self.data.forward();
    }

    /// Sets the velocity of the block (m/s).
    pub fn push_object(&mut self, velocity: Vector3<f64>) {
        copy(self.data.qvel_mut(), self.ids.object.velocity, velocity.as_slice());
    }

    /// Advances by [`STEP_S`] with the servos moving to `setpoint`.
    pub fn step(&mut self, setpoint: &Setpoint) {
        self.set(setpoint);
        self.data.step();
    }

    fn set(&mut self, setpoint: &Setpoint) {
        let controls = self.data.ctrl_mut();
        copy(controls, 0, setpoint.joints.as_slice());
        copy(controls, JOINTS, &[setpoint.opening.clamp(0.0, 1.0) * FINGER_TRAVEL]);
    }

    /// Returns the simulated time since the start (s).
    pub fn time(&self) -> f64 {
        self.data.time()
    }

    /// Returns the joint positions (rad).
    pub fn joints(&self) -> Joints {
        joints_at(self.data.qpos(), self.ids.joints.position)
    }

    /// Returns the joint velocities (rad/s).
    pub fn joint_velocities(&self) -> Joints {
        joints_at(self.data.qvel(), self.ids.joints.velocity)
    }

    /// Returns the opening of the fingers, 0 closed to 1 open.
    pub fn opening(&self) -> f64 {
        let finger = |n| self.data.qpos().get(self.ids.finger + n).copied().unwrap_or_default();
        (finger(0) + finger(1)) / (2.0 * FINGER_TRAVEL)
    }

    /// Returns the simulated pose of the flange in the base frame.
    pub fn base_from_flange(&self) -> Pose {
        let position = self.data.site_xpos().get(self.ids.flange).copied().unwrap_or_default();
        let matrix = self.data.site_xmat().get(self.ids.flange).copied().unwrap_or_default();
        let rotation = nalgebra::Rotation3::from_matrix(&nalgebra::Matrix3::from_row_slice(&matrix));
        Pose::from_parts(Translation3::from(position), UnitQuaternion::from(rotation))
    }

    /// Returns the pose of the block's centre in the base frame.
    pub fn object(&self) -> Pose {
        let body = self.ids.object_body;
        let position = self.data.xpos().get(body).copied().unwrap_or_default();
        let [w, i, j, k] = self.data.xquat().get(body).copied().unwrap_or([1.0, 0.0, 0.0, 0.0]);
        Pose::from_parts(
            Translation3::from(position),
            UnitQuaternion::from_quaternion(Quaternion::new(w, i, j, k)),
        )
    }

    /// Returns the centre of a geom in the base frame (m).
    ///
    /// # Errors
    /// When the scene has no geom of this name.
    pub fn middle_of(&self, name: &str) -> Result<Vector3<f64>, SimError> {
        let id = find(&self.model, MjtObjBase::mjOBJ_GEOM, "geom", name)?;
        let middle = self.data.geom_xpos().get(id).copied();
        middle.map(Vector3::from).ok_or_else(|| missing("geom", name))
    }

    /// Returns the speed of the block.
    pub fn object_speed(&self) -> ObjectSpeed {
        let first = self.ids.object.velocity;
        let part = |from: usize| {
            let values = self.data.qvel().get(from..from + 3).unwrap_or_default();
            values.iter().map(|v| v * v).sum::<f64>().sqrt()
        };
        ObjectSpeed {
            linear_m_s: part(first),
            angular_rad_s: part(first + 3),
        }
    }

    /// Returns the current contacts of the block.
    pub fn touching(&self) -> BlockContacts {
        let ids = &self.ids;
        let mut touching = BlockContacts::default();
        for contact in self.data.contact() {
            // Contacts without a constraint exert no force.
            if contact.efc_address < 0 {
                continue;
            }
            let other = match contact.geom {
                [object, other] | [other, object] if object == ids.object_geom => other,
                _ => continue,
            };
            match other {
                pad if pad == ids.left_pad => touching.left = true,
                pad if pad == ids.right_pad => touching.right = true,
                palm if palm == ids.palm => touching.palm = true,
                support if self.supports.contains(&support) => touching.support = true,
                _ => touching.other = true,
            }
        }
        touching
    }

    /// Reports whether palm and fingers touch nothing, except the block and each other.
    pub fn gripper_is_free(&self) -> bool {
        let ids = &self.ids;
        let own = |geom: &i32| [ids.left_pad, ids.right_pad, ids.palm].contains(geom);
        let other = |geom: &i32| !own(geom) && *geom != ids.object_geom;
        let mut contacts = self.data.contact().iter().filter(|contact| contact.efc_address >= 0);
        !contacts.any(|contact| contact.geom.iter().any(own) && contact.geom.iter().any(other))
    }

    /// Returns the state that rendering needs.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            model: Arc::clone(&self.model),
            positions: self.data.qpos().to_vec(),
        }
    }
}

impl Ids {
    fn of(model: &MjModel) -> Result<Self, SimError> {
        let joint = |name: &str| -> Result<Addresses, SimError> {
            let id = find(model, MjtObjBase::mjOBJ_JOINT, "joint", name)?;
            let at = |addresses: &[i32]| addresses.get(id).and_then(|a| usize::try_from(*a).ok());
            match (at(model.jnt_qposadr()), at(model.jnt_dofadr())) {
                (Some(position), Some(velocity)) => Ok(Addresses { position, velocity }),
                _ => Err(missing("joint", name)),
            }
        };
        Ok(Self {
            joints: joint("joint1")?,
            finger: joint("left_finger")?.position,
            object: joint("object")?,
            object_body: find(model, MjtObjBase::mjOBJ_BODY, "body", "object")?,
            object_geom: geom(model, "object")?,
            left_pad: geom(model, "left_pad")?,
            right_pad: geom(model, "right_pad")?,
            palm: geom(model, "palm")?,
            flange: find(model, MjtObjBase::mjOBJ_SITE, "site", "flange")?,
        })
    }
}

fn missing(kind: &'static str, name: &str) -> SimError {
    SimError::Missing {
        kind,
        name: name.to_owned(),
    }
}

pub(super) fn find(model: &MjModel, of: MjtObjBase, kind: &'static str, name: &str) -> Result<usize, SimError> {
    model.name_to_id(of, name).ok_or_else(|| missing(kind, name))
}

fn geom(model: &MjModel, name: &str) -> Result<i32, SimError> {
    let id = find(model, MjtObjBase::mjOBJ_GEOM, "geom", name)?;
    i32::try_from(id).map_err(|_| missing("geom", name))
}

fn copy(to: &mut [f64], at: usize, values: &[f64]) {
    for (to, value) in to.iter_mut().skip(at).zip(values) {
        *to = *value;
    }
}

fn joints_at(values: &[f64], at: usize) -> Joints {
    Joints::from_iterator(
        values
            .iter()
            .skip(at)
            .copied()
            .chain(std::iter::repeat(0.0))
            .take(JOINTS),
    )
}
