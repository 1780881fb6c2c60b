/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page of a system's documents: reads /openapi.json and /asyncapi.json and shows them. It makes
 * elements and text, never markup out of text, so that nothing in a document can become code; the
 * page's policy forbids it besides.
 */
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
const EXAMPLE_DEPTH_MAX = 6;

/* make("p", {class: "note"}, "text", element, ...): an element; what is null is left out. */
function make(name, attributes, ...inside) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {}))
        if (value !== null && value !== undefined) element.setAttribute(key, value);
    element.append(...inside.flat(Infinity).filter((part) => part !== null && part !== undefined));
    return element;
}

/* A sentence of a document's, in which `this` is code. */
function prose(text) {
    return text.split("`").map((part, index) => index % 2 ? make("code", {}, part) : part);
}

function identity(...words) {
    return words.join("-").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
}

/* ---- Schemas ---- */

function resolve(schema, whole) {
    if (!schema || !schema.$ref) return schema || {};
    return schema.$ref.slice(2).split("/").reduce(
        (at, name) => at && at[name.replace(/~1/g, "/").replace(/~0/g, "~")], whole) || {};
}

/* A copy in which components stand where they are referred to, but not within themselves; that of
 * a problem remains a reference. */
function expand(value, whole, around) {
    if (Array.isArray(value)) return value.map((inner) => expand(inner, whole, around));
    if (!value || typeof value !== "object") return value;
    const {$ref: name, ...beside} = value;
    if (name && (name.endsWith("/Problem") || !name.startsWith("#/components/schemas/"))) return value;
    if (name && around.includes(name)) return {type: "object", title: name.split("/").pop()};
    const own = name ? {...resolve(value, whole), ...beside} : value;
    return Object.fromEntries(Object.entries(own).map(
        ([key, inner]) => [key, expand(inner, whole, name ? around.concat(name) : around)]));
}

function typeOf(schema) {
    if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
    const types = [].concat(schema.type || "anything").join(" or ");
    return schema.items ? `${types} of ${typeOf(schema.items)}` : types;
}

/* "1 to 200", of whatever the two keywords bound. */
function bounds(low, high, what) {
    if (low === undefined && high === undefined) return null;
    if (high === undefined) return `at least ${low}${what}`;
    return low === undefined ? `at most ${high}${what}` : `${low} to ${high}${what}`;
}

/* What every integer of 64 bits is within says nothing. */
function short(bound) {
    return Math.abs(bound) > Number.MAX_SAFE_INTEGER + 1 ? undefined : bound;
}

function rulesOf(schema) {
    return [schema.const !== undefined ? `always ${JSON.stringify(schema.const)}` : null,
            schema.enum ? `one of ${schema.enum.map((value) => JSON.stringify(value)).join(", ")}` : null,
            bounds(short(schema.minimum), short(schema.maximum), ""),
            schema.default !== undefined ? `${JSON.stringify(schema.default)} if it is absent` : null,
            schema.description ? null : bounds(schema.minLength, schema.maxLength, " characters"),
            bounds(schema.minItems, schema.maxItems, " elements"),
            schema.format || null, schema.description || null].filter(Boolean).join("; ");
}

/* The members of an object, wherever it stands inside. */
function members(schema, whole) {
    schema = resolve(schema, whole);
    const object = schema.anyOf ? resolve(schema.anyOf[0], whole) : schema;
    const inner = object.items ? resolve(object.items, whole) : object;
    if (!inner.properties || !Object.keys(inner.properties).length) return null;
    const required = new Set(inner.required || []);
    return make("dl", {}, Object.entries(inner.properties).map(([name, value]) => {
        const property = resolve(value, whole);
        return [make("dt", {}, name, " ", make("span", {class: "type"}, typeOf(property)),
                     required.has(name) ? make("span", {class: "must"}, " required") : null),
                make("dd", {}, rulesOf(property), members(property, whole))];
    }));
}

function schemaPart(schema, whole) {
    const resolved = resolve(schema, whole);
    return make("div", {}, make("p", {class: "type"}, typeOf(resolved), " ", rulesOf(resolved)),
                members(resolved, whole));
}

function example(schema, depth) {
    const type = [].concat(schema.type || "null")[0];
    if (schema.enum) return schema.enum[0];
    if (depth > EXAMPLE_DEPTH_MAX) return null;
    if (type === "object")
        return Object.fromEntries((schema.required || []).map(
            (name) => [name, example((schema.properties || {})[name] || {}, depth + 1)]));
    if (type === "array") return schema.items ? [example(schema.items, depth + 1)] : [];
    if (type === "integer") return schema.minimum || 0;
    if (type === "boolean") return false;
    return type === "string" ? "text".padEnd(schema.minLength || 0, "t") : null;
}

/* ---- Trying a route ---- */

function target(path, parameters, values) {
    const query = new URLSearchParams();
    let filled = path;
    const headers = {};
    for (const parameter of parameters) {
        const value = values.get(`${parameter.in}:${parameter.name}`);
        if (parameter.in === "path") filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(value));
        else if (value && parameter.in === "query") query.set(parameter.name, value);
        else if (value) headers[parameter.name] = value;
    }
    return {url: filled + (query.size ? `?${query}` : ""), headers};
}

async function send(method, path, parameters, form, output) {
    const values = new FormData(form);
    const {url, headers} = target(path, parameters, values);
    const body = values.get("body");
    if (body !== null) headers["Content-Type"] = "application/json";
    output.hidden = false;
    output.textContent = "…";
    try {
        const answer = await fetch(url, {method: method.toUpperCase(), headers, body});
        const text = await answer.text();
        let shown = text;
        try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: as it is */ }
        output.textContent = `${answer.status} ${answer.statusText}\n\n${shown}`;
    } catch (error) {
        output.textContent = `No answer: ${error.message}`;
    }
}

function tryPart(method, path, parameters, body, whole) {
    const output = make("pre", {hidden: "", "aria-live": "polite", tabindex: "0"});
    const form = make("form", {}, parameters.map((parameter) =>
        make("label", {class: "field"}, make("code", {}, parameter.name),
             make("input", {name: `${parameter.in}:${parameter.name}`,
                            required: parameter.required ? "" : null}))));
    if (body) {
        const area = make("textarea", {name: "body", "aria-label": "Body", spellcheck: "false"});
        area.value = JSON.stringify(example(resolve(body, whole), 0), null, 2);
        form.append(area);
    }
    form.append(make("button", {}, "Send"));
    form.addEventListener("submit", (event) => {
        event.preventDefault();
        send(method, path, parameters, form, output);
    });
    return [make("h3", {}, "Try it"), form, output];
}

/* ---- Operations ---- */

function parameterList(parameters) {
    if (!parameters.length) return null;
    return [make("h3", {}, "Parameters"), make("dl", {}, parameters.map((parameter) => [
        make("dt", {}, parameter.name, " ",
             make("span", {class: "type"}, `${parameter.in}, ${typeOf(parameter.schema)}`),
             parameter.required ? make("span", {class: "must"}, " required") : null),
        make("dd", {}, prose([rulesOf(parameter.schema), parameter.description].filter(Boolean).join("; ")))]))];
}

function answerList(responses, whole) {
    return [make("h3", {}, "Answers"), make("dl", {}, Object.entries(responses).map(
        ([status, response]) => {
            const content = Object.values(response.content || {})[0];
            const problem = content && content.schema && content.schema.$ref;
            const schema = content && !problem ? resolve(content.schema, whole) : null;
            return [make("dt", {}, status === "default" ? "else" : status),
                    make("dd", {}, prose(response.description),
                         schema && schema.type ? schemaPart(schema, whole) : null)];
        }))];
}

function bodyOf(holder) {
    return holder && holder.content ? holder.content["application/json"].schema : null;
}

/* Its inside is made when it is opened: a large system has thousands. */
function folded(id, summary, inside) {
    const details = make("details", {class: "operation", id}, summary);
    details.addEventListener("toggle", () => {
        if (details.open && details.children.length === 1) details.append(make("div", {}, inside()));
    });
    return details;
}

function operationPart(method, path, operation, whole) {
    const parameters = operation.parameters || [];
    const body = bodyOf(operation.requestBody);
    const summary = make("summary", {}, make("span", {class: `method ${method}`}, method.toUpperCase()),
                         make("code", {}, path),
                         operation.summary ? make("span", {class: "note"}, operation.summary) : null);
    return folded(identity(method, path), summary, () => [
        operation.description ? make("p", {}, prose(operation.description)) : null,
        parameterList(parameters),
        body ? [make("h3", {}, "Body"), schemaPart(body, whole)].flat() : null,
        answerList(operation.responses, whole),
        tryPart(method, path, parameters, body, whole)].flat());
}

function eventPart(name, channel, operations) {
    const message = Object.values(channel.messages)[0];
    const heard = operations.filter((operation) => operation.action === "receive" &&
        operation.channel.$ref === `#/channels/${name}`).map((operation) => operation.tags[0].name);
    const summary = make("summary", {}, make("span", {class: "method event"}, "event"),
                         make("code", {}, message.name),
                         make("span", {class: "note"}, heard.length ? `heard by ${heard.join(", ")}` : "heard by nobody"));
    return folded(identity("event", name), summary, () => [
        make("p", {}, channel.description || ""), make("h3", {}, "Data"),
        schemaPart(message.payload.properties.data, channel)]);
}

/* ---- The page ---- */

function section(name, parts, contents) {
    if (!parts.length) return null;
    const id = identity("of", name);
    contents.append(make("li", {}, make("a", {href: `#${id}`}, name)));
    return make("section", {}, make("h2", {id}, name), parts);
}

function render(routes, events) {
    const contents = make("ul", {});
    const operations = Object.values(events.operations);
    const sections = routes.tags.map((tag) => section(tag.name, Object.entries(routes.paths).flatMap(
        ([path, item]) => METHODS.filter((method) => item[method] && item[method].tags[0] === tag.name)
            .map((method) => operationPart(method, path, expand(item[method], routes, []), routes))),
        contents));
    const byService = new Map();
    for (const [name, channel] of Object.entries(events.channels)) {
        const service = name.slice(0, name.indexOf("."));
        byService.set(service, [
            ...(byService.get(service) || []),
            eventPart(name, expand(channel, events, []), operations)
        ]);
    }
    for (const [service, parts] of byService)
        sections.push(section(`events of ${service}`, parts, contents));
    document.title = routes.info.title;
    document.getElementById("title").textContent = routes.info.title;
    document.getElementById("contents").append(contents);
    document.getElementById("main").replaceChildren(
        make("p", {id: "status", role: "status"}, ""), ...sections.filter(Boolean));
}

function find(words) {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const part of document.querySelectorAll("main section")) {
        const heading = part.querySelector("h2").textContent;
        let any = false;
        for (const details of part.querySelectorAll("details")) {
            const text = `${heading} ${details.querySelector("summary").textContent}`.toLowerCase();
            details.hidden = !wanted.every((word) => text.includes(word));
            any = any || !details.hidden;
            shown += !details.hidden;
        }
        part.hidden = !any;
    }
    document.getElementById("status").textContent = wanted.length ? `${shown} found.` : "";
}

function openTarget() {
    const element = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (element && element.tagName === "DETAILS") element.open = true;
    if (element) element.scrollIntoView();
}

async function read(path) {
    const answer = await fetch(path);
    if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
    return answer.json();
}

async function begin() {
    const search = document.getElementById("find");
    try {
        render(...await Promise.all([read("/openapi.json"), read("/asyncapi.json")]));
    } catch (error) {
        document.getElementById("status").textContent = `The documents can't be read: ${error.message}.`;
        return;
    }
    search.addEventListener("input", () => find(search.value));
    document.addEventListener("keydown", (event) => {
        if (event.key !== "/" || /^(INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
        event.preventDefault();
        search.focus();
    });
    window.addEventListener("hashchange", openTarget);
    openTarget();
}

begin();
