mod many;
mod pair;
mod rules;
