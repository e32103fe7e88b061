//! The scene as MuJoCo's XML: the fixed part is `scene.xml`, the rest follows from the layout.

use std::fmt::Write as _;

use super::config::Block;
use super::tasks::{Form, Light, Prop, TaskLayout};

const TEMPLATE: &str = include_str!("scene.xml");

/// Options of building a scene.
#[derive(Debug, Clone, Copy)]
pub struct SceneOptions {
    /// Whether the lamp casts shadows; rendering then takes more than twice as long.
    pub shadows: bool,
    /// Whether edges are smoothed; rendering then takes about twice as long. Pictures that are scaled down need it
    /// less.
    pub smooth_edges: bool,
}

impl Default for SceneOptions {
    fn default() -> Self {
        Self {
            shadows: false,
            smooth_edges: true,
        }
    }
}

/// Returns the MJCF of an episode.
pub fn mjcf(layout: &TaskLayout, block: &Block, options: SceneOptions) -> String {
    let object = &layout.object;
    TEMPLATE
        .replace("{{samples}}", if options.smooth_edges { "4" } else { "0" })
        .replace("{{lights}}", &lights(layout.light, options.shadows))
        .replace("{{props}}", &props(&layout.props))
        .replace("{{object_position}}", &numbers(&object.position))
        .replace("{{object_yaw_deg}}", &object.yaw.to_degrees().to_string())
        .replace("{{object_half}}", &(block.side_m / 2.0).to_string())
        .replace("{{object_rgb}}", &numbers(&object.colour.rgb))
        .replace("{{object_mass}}", &block.mass_kg.to_string())
}

fn numbers(values: &[f64]) -> String {
    let words: Vec<_> = values.iter().map(f64::to_string).collect();
    words.join(" ")
}

fn lights(light: Light, shadows: bool) -> String {
    let [x, y, z] = light.position;
    let towards = numbers(&[0.32 - x, -y, -z]);
    let diffuse = light.diffuse;
    format!(
        r#"<light pos="{x} {y} {z}" dir="{towards}" diffuse="{diffuse} {diffuse} {diffuse}" specular="0.2 0.2 0.2" castshadow="{shadows}"/>
    <light pos="-0.4 0.6 1.6" dir="0.5 -0.4 -1" diffuse="0.22 0.22 0.24" specular="0 0 0" castshadow="false"/>"#
    )
}

fn props(props: &[Prop]) -> String {
    props.iter().fold(String::new(), |mut text, prop| {
        let class = if prop.solid { "prop" } else { "mark" };
        let (kind, size) = match prop.form {
            Form::Box(half) => ("box", numbers(&half)),
            Form::Cylinder(size) => ("cylinder", numbers(&size)),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            r#"    <geom name="{}" class="{class}" type="{kind}" size="{size}" pos="{}" euler="0 0 {}" rgba="{}"/>"#,
            prop.name,
            numbers(&prop.position),
            prop.yaw.to_degrees(),
            numbers(&prop.rgba),
        );
        text
    })
}
