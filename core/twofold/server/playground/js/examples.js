// Example texts, written for this page. Each shows one effect of the settings.
//
// `answers` holds, for each question, the index of the passage that answers it. `document` and `ask` are for late chunking.

const lightsaber = {
  id: "lightsaber",
  name: "Lightsaber repair",
  panel: "sides",
  about: "Passages that only repeat the question compete with those that answer it.",
  questions: [
    "How do I repair a lightsaber whose blade flickers?",
    "Warum brummt mein Lichtschwert so laut?",
    "¿Cada cuánto hay que limpiar el cristal?",
  ],
  passages: [
    "How do I repair a lightsaber? Asking for a friend.",
    "A flickering blade nearly always means a loose power cell: open the pommel, press the cell back until it clicks, and try again.",
    "Ein lautes Brummen kommt vom Emitter: Ist er verbogen, schwingt das Gehäuse mit. Ein Tropfen Öl am Gewinde hilft oft schon.",
    "Mein Lichtschwert brummt, und niemand weiß warum.",
    "Limpia el cristal con un paño seco una vez al mes; el polvo vuelve la hoja opaca.",
    "光刃闪烁时，先检查电池接触是否良好，再更换聚焦环。",
    "The museum of film props shows forty lightsabers, and a workshop for children on Sundays.",
    "Un sabre laser neuf coûte plus cher qu’un vaisseau d’occasion.",
  ],
  answers: [1, 2, 4],
};

const entities = {
  id: "entities",
  name: "Entities",
  panel: "heat",
  about: "Names that mean several things: Mercury, Java and Phoenix.",
  questions: [
    "Which planet is closest to the Sun?",
    "Which metal is liquid at room temperature?",
    "On which island is Jakarta?",
    "Welche Sprache läuft auf einer virtuellen Maschine?",
  ],
  passages: [
    "Mercury circles the Sun in 88 days, nearer to it than any other world.",
    "Mercury flows at room temperature, which is why old thermometers held it.",
    "Mercury carried the messages of the gods, with wings on his sandals.",
    "Java is the most populous island of Indonesia; the country’s largest city lies on its north coast.",
    "Java-Programme werden zu Bytecode übersetzt, den eine virtuelle Maschine ausführt.",
    "Java, freshly ground, fills the kitchen with its smell every morning.",
    "Phoenix is the hottest large city of the United States.",
    "フェニックスは、灰の中からよみがえる伝説の鳥である。",
  ],
  answers: [0, 1, 3, 4],
};

const reviews = {
  id: "reviews",
  name: "Reviews",
  panel: "map",
  about: "Reviews in six languages. The questions are labels: the nearest label tells what a review is about.",
  questions: ["A customer who praises the product", "A complaint about the delivery", "A product that broke"],
  passages: [
    "Best headphones I have ever owned, the sound is wonderful.",
    "Absolut begeistert, die Kaffeemaschine ist jeden Cent wert!",
    "Une lampe magnifique, exactement comme sur la photo.",
    "The parcel came three weeks late and the box was torn.",
    "El paquete nunca llegó y nadie contesta al teléfono.",
    "Il corriere ha lasciato il pacco sotto la pioggia.",
    "The handle snapped off after two days.",
    "Nach einer Woche ging der Motor kaputt.",
    "三日で電源が入らなくなりました。",
  ],
  answers: null,
};

const films = {
  id: "films",
  name: "Film lines",
  panel: "tasks",
  about: "Lines like those in films, each with a translation: an example for text matching.",
  questions: [
    "We do not leave until the last light goes out.",
    "You had me at the first cup of tea.",
    "The sea keeps what it is given.",
  ],
  passages: [
    "Wir gehen nicht, bevor das letzte Licht erlischt.",
    "Turn off the lights before you leave, please.",
    "Tu m’as conquis dès la première tasse de thé.",
    "I would like a cup of tea with milk.",
    "El mar se queda con lo que le dan.",
    "The sea was calm on the morning of the race.",
    "海は、与えられたものを返さない。",
    "Every captain counts his crew twice.",
  ],
  answers: [0, 2, 4],
};

const birthday = {
  id: "birthday",
  name: "Birthday chat",
  panel: "late",
  about: "A chat whose lines need their context: alone, “hers is on the ninth” does not mention a birthday.",
  questions: ["When is Mira’s birthday?", "What does she get?", "Wer backt den Kuchen?"],
  passages: [
    "Ana: Do you remember when Mira turns thirty?",
    "Ben: Hers is on the ninth, a Saturday.",
    "Ana: Then we have two weeks. What does she wish for?",
    "Ben: The blue teapot from the market, she looks at it every time.",
    "Cem: Den Kuchen mache ich, mit Kirschen.",
    "Ana: Perfect. My own is in March, by the way, and I like teapots too.",
  ],
  answers: [1, 3, 4],
  document: [
    "Ana: Do you remember when Mira turns thirty?",
    "Ben: Hers is on the ninth, a Saturday.",
    "Ana: Then we have two weeks. What does she wish for?",
    "Ben: The blue teapot from the market, she looks at it every time.",
    "Cem: Den Kuchen mache ich, mit Kirschen.",
    "Ana: Perfect. My own is in March, by the way, and I like teapots too.",
  ].join("\n"),
  ask: "When is Mira’s birthday?",
  split: "lines",
};

const lighthouse = {
  document:
    "The Skarn lighthouse was built in 1871 on a rock two miles off the coast. It is forty metres high. " +
    "Its first keeper, Ida Holm, lived there for thirty-one years. She wrote down every ship that passed. " +
    "Her notebooks are in the town’s museum today. In 1962 the lamp was made electric, and nobody has lived there since. " +
    "The tower can be visited in summer, when the sea allows it.",
  ask: "Who kept the Skarn lighthouse?",
  split: "sentences",
};

export const examples = [lightsaber, entities, reviews, films, birthday];

/** The document that the late chunking panel starts with: the example's own, or else the lighthouse. */
export const documentOf = (example) => (example?.document ? example : lighthouse);
