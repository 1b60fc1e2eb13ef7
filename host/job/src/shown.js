// Text of strangers as a page may show it: the same as shown.rs says for terminals, and shown.json holds both to it.
"use strict";

const NAME_CHARACTERS_MAX = 128, MARKS_MAX = 4;
// Without a shape of their own, or with a say in how others stand: controls, formats, separators, fillers, selectors.
const UNSEEN = /[\p{C}\p{Z}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\u{e0000}-\u{e0fff}]/u;
const MARK = /\p{Grapheme_Extend}/u;
const SPELLED = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function shown(text) {
  let line = "", marks = 0;
  for (const character of String(text)) {
    let visible = true;
    if (character === " ") marks = 0;
    else if (UNSEEN.test(character)) visible = false;
    else if (!MARK.test(character)) marks = MARKS_MAX;
    else visible = marks-- > 0;
    if (marks < 0) marks = 0;
    line += visible ? character : SPELLED[character] || `\\u{${character.codePointAt(0).toString(16)}}`;
  }
  return line;
}

// A name in a box of its own, so that its direction is nobody else's, cut where it is longer than any need be.
function named(text) {
  const box = document.createElement("bdi"), characters = [...String(text)];
  const cut = characters.length > NAME_CHARACTERS_MAX;
  box.textContent = shown(characters.slice(0, NAME_CHARACTERS_MAX).join("")) + (cut ? "…" : "");
  return box;
}

// Numbers and times as this reader writes them: other spaces and marks of direction than ours go.
const local = text => text.replace(/\p{Z}/gu, " ").replace(/\p{Cf}/gu, "");
