//! Checks that the chat template of a Hugging Face directory produces the prompts that this package writes.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, context};
use serde_json::Value;

use super::{CHAT_TEMPLATE, TOKENIZER_CONFIG};
use crate::files;
use crate::model::error::ModelError;
use crate::model::json;

/// Older file that holds only the template.
const OLDER: &str = "chat_template.json";

/// Limit of the steps of a template; the released one takes about a thousand.
const MAX_TEMPLATE_STEPS: u64 = 100_000;

/// Test case of the template: two images and a text, then the assistant's turn.
const QUESTION: &str = "What is it?";
const EXPECTED: &str = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|><|vision_start|><|image_pad|>\
                        <|vision_end|>What is it?<|im_end|>\n<|im_start|>assistant\n";

/// Template for directories without one: user and assistant turns without tools.
pub const PLAIN: &str = "\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string -%}
{{ message.content }}
{%- else -%}
{%- for item in message.content -%}
{%- if item.type == 'image' -%}
{{ '<|vision_start|><|image_pad|><|vision_end|>' }}
{%- elif item.type == 'text' -%}
{{ item.text }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- endif -%}
";

/// Error of a chat template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum TemplateError {
    /// The renderer refuses its own syntax.
    #[error("{0}")]
    Syntax(String),
    /// The template cannot be rendered.
    #[error("the chat template cannot be rendered: {0}")]
    Render(String),
    /// The template writes something else.
    #[error(
        "expected the chat template of Qwen3-VL, which makes {expected:?} of two images and a text, found one that makes \
         {written:?}"
    )]
    Other {
        /// Text of Qwen3-VL's template.
        expected: &'static str,
        /// Text of this template.
        written: String,
    },
}

/// Renders the directory's template once and compares the result. Prompts are written without it.
///
/// # Errors
/// When there is no template, it is invalid, or its result differs.
pub fn check(directory: &Path) -> Result<(), ModelError> {
    let path = directory.join(CHAT_TEMPLATE);
    if path.exists() {
        let template = files::read_text(&path, files::CONFIGURATION).map_err(|e| ModelError::read(&path, e))?;
        return check_text(&template).map_err(|e| ModelError::read(&path, e));
    }
    for name in [OLDER, TOKENIZER_CONFIG] {
        let path = directory.join(name);
        if !path.exists() {
            continue;
        }
        let file: Value = json::read(&path, files::CONFIGURATION)?;
        if let Some(template) = file.get("chat_template").and_then(default_of) {
            return check_text(template).map_err(|e| ModelError::read(&path, e));
        }
    }
    Err(ModelError::read(
        &path,
        format!("it does not exist, and neither {OLDER} nor {TOKENIZER_CONFIG} holds a chat template"),
    ))
}

/// Returns the default template: the only one, or the one of that name.
fn default_of(templates: &Value) -> Option<&str> {
    let named = |of: &&Value| of.get("name").is_some_and(|name| name == "default");
    let several = templates.as_array().into_iter().flatten();
    let default = several.filter(named).find_map(|of| of.get("template")?.as_str());
    templates.as_str().or(default)
}

fn check_text(template: &str) -> Result<(), TemplateError> {
    let mut environment = Environment::new();
    // The reference sets the same options.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|e| TemplateError::Syntax(e.to_string()))?);
    environment.set_fuel(Some(MAX_TEMPLATE_STEPS));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    let content = vec![
        context! { type => "image", image => "a.png" },
        context! { type => "image", image => "b.png" },
        context! { type => "text", text => QUESTION },
    ];
    let messages = vec![context! { role => "user", content }];
    let written = environment
        .render_str(template, context! { messages, add_generation_prompt => true })
        .map_err(|e| TemplateError::Render(e.to_string()))?;
    if written == EXPECTED {
        return Ok(());
    }
    Err(TemplateError::Other {
        expected: EXPECTED,
        written,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_template_is_the_known_one() {
        assert_eq!(check_text(PLAIN), Ok(()));
    }

    /// Written like the released one: counters in a namespace, several spellings of an image, tools, text methods.
    #[test]
    fn a_template_that_writes_the_same_otherwise_is_the_known_one() {
        let template = r#"
{%- if tools %}
    {{- "<|im_start|>system\n# Tools\n" }}
    {%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content.strip() + '<|im_end|>\n' }}
{%- endif %}
{%- set image_count = namespace(value=0) %}
{%- for message in messages %}
    {%- if message.role == "user" %}
        {{- '<|im_start|>' + message.role + '\n' }}
        {%- for content in message.content %}
            {%- if content.type == 'image' or 'image' in content or 'image_url' in content %}
                {%- set image_count.value = image_count.value + 1 %}
                {%- if add_vision_id %}Picture {{ image_count.value }}: {% endif -%}
                <|vision_start|><|image_pad|><|vision_end|>
            {%- elif 'text' in content %}
                {{- content.text }}
            {%- endif %}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"#;
        assert_eq!(check_text(template), Ok(()));
    }

    #[test]
    fn another_template_is_refused_with_what_it_writes() {
        let error = check_text("{{ messages[0].role }}: hello").unwrap_err().to_string();
        assert!(error.contains("found one that makes \"user: hello\""), "{error}");
    }

    #[test]
    fn a_template_that_never_ends_ends() {
        let error = check_text("{% for i in range(10000) %}{% for j in range(10000) %}x{% endfor %}{% endfor %}");
        assert!(matches!(error, Err(TemplateError::Render(_))), "{error:?}");
    }
}
