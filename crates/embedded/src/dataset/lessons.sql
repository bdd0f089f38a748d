-- What can be learnt.
INSERT INTO lessons (id, title, language, level) VALUES
    (1, 'Greetings and introductions', 'es', 1),
    (2, 'At the market', 'es', 2),
    (3, 'Talking about yesterday', 'es', 3),
    (4, 'Ordering in a café', 'fr', 1),
    (5, 'Finding your way', 'fr', 2),
    (6, 'The subjunctive in daily life', 'fr', 5),
    (7, 'Numbers, dates and times', 'de', 1),
    (8, 'Family and friends', 'de', 1),
    (9, 'Separable verbs', 'de', 3),
    (10, 'Ingredients and recipes', 'it', 2),
    (11, 'Making plans', 'it', 3),
    (12, 'Opinions and arguments', 'it', 4);
