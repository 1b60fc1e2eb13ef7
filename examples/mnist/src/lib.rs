//! MNIST: a small convolutional network on 60,000 images of 28 × 28 pixels.
//!
//! The four files are not in the repository: `examples/mnist/fetch` gets them. Images stay bytes until they are
//! batched. With several workers each trains on its own share of every epoch's batches.

mod images;
mod model;

use anneal_sdk::prelude::*;

use images::Images;
use model::Model;

struct Mnist;

/// What the manifest may set.
struct Settings {
    epochs: u32,
    batch: u32,
    learning_rate: f32,
    weight_decay: f32,
}

/// Images of one pass in `evaluate`.
const EVALUATION_BATCH: u32 = 500;

/// Steps between two reports.
const REPORT_STEPS: u32 = 50;

impl Settings {
    fn read(task: &Task) -> Result<Settings> {
        task.only_parameters(&["epochs", "batch", "learning-rate", "weight-decay"])?;
        Ok(Settings {
            epochs: task.parameter("epochs", 2)?,
            batch: task.parameter("batch", 128)?,
            learning_rate: task.parameter("learning-rate", 0.003)?,
            weight_decay: task.parameter("weight-decay", 0.01)?,
        })
    }
}

impl Trainer for Mnist {
    fn init(task: &Task) -> Result<State> {
        let mut parameters = Parameters::init(task);
        Model::new(&mut parameters)?;
        AdamW::new(&mut parameters, Schedule::constant(0.0))?;
        parameters.seed()?;
        Ok(parameters.into_state())
    }

    /// A segment is a share of the steps, not of the epochs, so that it can be made as short as is wanted.
    fn train(task: &Task, state: State) -> Result<State> {
        let settings = Settings::read(task)?;
        let images = Images::open("images", "labels")?;
        let mut parameters = Parameters::load(state);
        let model = Model::new(&mut parameters)?;
        let seed = parameters.seed()?;

        let batches = Batches::new((0..images.count()).collect(), settings.batch);
        let an_epoch = batches.clone().of_worker(task).len().max(1);
        let total = settings.epochs * an_epoch;
        let schedule = Schedule::cosine(settings.learning_rate, total).warmup(an_epoch / 4);
        let mut optimiser = AdamW::new(&mut parameters, schedule)?.weight_decay(settings.weight_decay);

        let mut average = Average::new();
        let mut shuffled = (u32::MAX, batches.clone());
        for step in task.share_of(total) {
            let epoch = step / an_epoch;
            if shuffled.0 != epoch {
                shuffled = (epoch, batches.clone().shuffled(seed, epoch).of_worker(task));
            }
            let (pixels, labels) = images.batch(shuffled.1.get(step % an_epoch))?;
            let logits = model.forward(&pixels, Mode::Train { step: optimiser.steps() });
            let loss = losses::cross_entropy(&logits, &labels);
            average.push(&optimiser.step(&mut parameters, &loss)?)?;
            if (step + 1).is_multiple_of(REPORT_STEPS) {
                report::metric("loss", step, std::mem::take(&mut average).value()?);
            }
            report::progress(step + 1, total);
        }
        Ok(parameters.into_state())
    }

    fn evaluate(_task: &Task, state: State) -> Result<Metrics> {
        let images = Images::open("test-images", "test-labels")?;
        let model = Model::new(&mut Parameters::load(state))?;
        let mut correct = 0;
        for rows in &Batches::new((0..images.count()).collect(), EVALUATION_BATCH) {
            let (pixels, labels) = images.batch(rows)?;
            correct += metrics::correct(&model.forward(&pixels, Mode::Evaluate), &labels)?.item_i32();
        }
        Ok(Metrics::from([("accuracy", f64::from(correct) / f64::from(images.count().max(1)))]))
    }
}

anneal_sdk::export_training!(Mnist);
