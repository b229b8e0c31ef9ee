const CARDS = {};
