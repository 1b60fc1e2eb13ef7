//! The OpenAPI 3.1 description, made from the table of requests and the types' JSON schemas. What is hashed and signed
//! is in [`encodings`].

mod encodings;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{Access, Endpoint, ErrorBody, ErrorCode, Media, Method, endpoints, sign};

/// A request without its types: what the description needs.
pub(crate) struct Description {
    name: &'static str,
    method: Method,
    path: &'static str,
    summary: &'static str,
    access: Access,
    body: Media,
    reply: Media,
    schema: fn(&mut SchemaGenerator) -> Schemas,
}

struct Schemas {
    path: Schema,
    query: Schema,
    body: Schema,
    reply: Schema,
}

impl Description {
    pub(crate) fn of<E: Endpoint>() -> Description {
        Description {
            name: E::NAME,
            method: E::METHOD,
            path: E::PATH,
            summary: E::SUMMARY,
            access: E::ACCESS,
            body: E::BODY,
            reply: E::REPLY,
            schema: |generator| Schemas {
                path: E::Path::json_schema(generator),
                query: E::Query::json_schema(generator),
                body: generator.subschema_for::<E::Body>(),
                reply: generator.subschema_for::<E::Reply>(),
            },
        }
    }
}

/// The description of the whole service.
pub fn openapi() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".to_owned().into());
    let mut generator = settings.into_generator();
    let error = generator.subschema_for::<ErrorBody>();
    let mut paths = Map::new();
    for description in endpoints::descriptions() {
        let operation = operation(&description, &mut generator, &error);
        let item = paths.entry(description.path).or_insert_with(|| json!({}));
        item[description.method.name().to_lowercase()] = operation;
    }
    let codes: Vec<Value> = ErrorCode::ALL
        .iter()
        .map(|code| json!({ "code": code.name(), "status": code.status(), "message": code.message() }))
        .collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Anneal coordinator",
            "version": "1",
            "description": "Requests are signed with Ed25519; `x-encodings` says how they, receipts, commitments and the \
                            log are encoded. `x-error-codes` lists every code of the service. Codes with status 409 \
                            that are not listed are the market's reasons. A provider enrols, polls with its idle \
                            devices, runs what it leases, sends a batch with its commitment, polls until it has the duty \
                            to reveal, and sends a batch with receipt and nonce.",
        },
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true), "securitySchemes": security() },
        "x-encodings": encodings::encodings(),
        "x-error-codes": codes,
    });
    bound_integers(&mut document);
    document
}

/// Says how large the integers of each format may be: the schemas name the format alone.
fn bound_integers(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let maximum = match object.get("format").and_then(Value::as_str) {
                Some("uint8") => Some(u64::from(u8::MAX)),
                Some("uint16") => Some(u64::from(u16::MAX)),
                Some("uint32") => Some(u64::from(u32::MAX)),
                Some("uint64" | "uint") => Some(u64::MAX),
                Some("int64") => Some(i64::MAX.unsigned_abs()),
                _ => None,
            };
            if let Some(maximum) = maximum.filter(|_| !object.contains_key("maximum")) {
                object.insert("maximum".to_owned(), maximum.into());
            }
            object.values_mut().for_each(bound_integers);
        }
        Value::Array(items) => items.iter_mut().for_each(bound_integers),
        _ => {}
    }
}

fn operation(description: &Description, generator: &mut SchemaGenerator, error: &Schema) -> Value {
    let Schemas { path, query, body, reply } = (description.schema)(generator);
    let mut parameters = parameters(&path, "path");
    parameters.extend(self::parameters(&query, "query"));
    let mut operation = json!({
        "operationId": description.name,
        "summary": description.summary.trim(),
        "parameters": parameters,
        "responses": {
            "200": { "description": "What was asked for.", "content": content(description.reply, &reply) },
            "default": { "description": "An error.", "content": { "application/json": { "schema": error } } },
        },
    });
    if description.body != Media::None {
        operation["requestBody"] = json!({ "required": true, "content": content(description.body, &body) });
    }
    operation["security"] = match description.access {
        Access::Open => json!([]),
        Access::OpenOrToken => json!([{}, { "signature": [] }, { "pageToken": [] }]),
        Access::Signed => json!([{ "signature": [] }]),
    };
    operation
}

fn content(media: Media, schema: &Schema) -> Value {
    match media {
        Media::None => json!({}),
        Media::Json => json!({ "application/json": { "schema": schema } }),
        Media::Bytes => json!({ "application/octet-stream": {} }),
        Media::Text => json!({ "text/plain": { "schema": { "type": "string" } } }),
    }
}

fn parameters(schema: &Schema, place: &str) -> Vec<Value> {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
    properties
        .iter()
        .map(|(name, schema)| {
            json!({
                "name": name,
                "in": place,
                "required": place == "path" || required.contains(&name.as_str()),
                "schema": schema,
            })
        })
        .collect()
}

fn security() -> Value {
    json!({
        "signature": {
            "type": "apiKey",
            "in": "header",
            "name": sign::SIGNATURE_HEADER,
            "description": format!(
                "Ed25519 over the record `request` of `x-encodings`; with the headers {}, {}, {}, {} and, for \
                 commands, {}.",
                sign::IDENTITY_HEADER, sign::TIMESTAMP_HEADER, sign::NONCE_HEADER,
                sign::BODY_DIGEST_HEADER, sign::COMMAND_HEADER,
            ),
        },
        "pageToken": { "type": "http", "scheme": "bearer", "description": "A short-lived token of a page's link." },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        let document = openapi();
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(references.len() > 20, "found {} references", references.len());
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("a local reference");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }

    #[test]
    fn every_path_part_is_a_parameter() {
        let document = openapi();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("methods") {
                let named: Vec<&str> = operation["parameters"]
                    .as_array()
                    .expect("parameters")
                    .iter()
                    .filter(|parameter| parameter["in"] == "path")
                    .filter_map(|parameter| parameter["name"].as_str())
                    .collect();
                let parts: Vec<&str> =
                    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
                assert_eq!(named, parts, "{method} {path}");
            }
        }
    }

    #[test]
    fn codes_are_words_and_differ() {
        let mut seen = std::collections::BTreeSet::new();
        for code in ErrorCode::ALL {
            assert!(seen.insert(code.name()), "{} twice", code.name());
            assert!((400..600).contains(&code.status()), "{}", code.name());
        }
    }

    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                references.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| collect(value, references));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
            _ => {}
        }
    }
}
