//! Handwritten digits: a multi-layer perceptron on the 1,797 images of 8 × 8 pixels of the UCI set.
//!
//! The rows are permuted with seed 0 and cut into folds; the parameter `fold` says which one is held out.
//! Running the job once for each fold is cross-validation. With several workers each trains on its own share
//! of every epoch's batches, and the SDK's default merge takes the mean.

mod images;
mod model;

use anneal_sdk::prelude::*;

use images::Images;
use model::Model;

struct Digits;

/// What the manifest may set.
struct Settings {
    folds: u32,
    fold: u32,
    epochs: u32,
    batch: u32,
    learning_rate: f32,
    weight_decay: f32,
    /// Whether `evaluate` reports the class it finds for each held-out row.
    predictions: bool,
    model: model::Settings,
}

impl Settings {
    fn read(task: &Task) -> Result<Settings> {
        task.only_parameters(&[
            "folds",
            "fold",
            "epochs",
            "batch",
            "learning-rate",
            "weight-decay",
            "hidden",
            "hidden-2",
            "dropout",
            "predictions",
        ])?;
        let settings = Settings {
            folds: task.parameter("folds", 5)?,
            fold: task.parameter("fold", 0)?,
            epochs: task.parameter("epochs", 30)?,
            batch: task.parameter("batch", 64)?,
            learning_rate: task.parameter("learning-rate", 0.003)?,
            weight_decay: task.parameter("weight-decay", 0.01)?,
            predictions: task.parameter("predictions", false)?,
            model: model::Settings {
                hidden: [task.parameter("hidden", 256)?, task.parameter("hidden-2", 128)?],
                dropout: task.parameter("dropout", 0.3)?,
            },
        };
        if settings.fold >= settings.folds {
            return Err(Failure::new(format!(
                "the parameter `fold` is {} and must be below `folds`, which is {}",
                settings.fold, settings.folds
            )));
        }
        if !(0.0..1.0).contains(&settings.model.dropout) {
            return Err(Failure::new("the parameter `dropout` must be at least 0 and below 1"));
        }
        Ok(settings)
    }

    fn split(&self, images: &Images) -> folds::Split {
        folds::split(images.count(), self.folds, self.fold, 0)
    }
}

impl Trainer for Digits {
    fn init(task: &Task) -> Result<State> {
        let settings = Settings::read(task)?;
        let mut parameters = Parameters::init(task);
        Model::new(&mut parameters, &settings.model)?;
        AdamW::new(&mut parameters, Schedule::constant(0.0))?;
        parameters.seed()?;
        Ok(parameters.into_state())
    }

    fn train(task: &Task, state: State) -> Result<State> {
        let settings = Settings::read(task)?;
        let images = Images::open()?;
        let folds::Split { training, held_out } = settings.split(&images);

        let mut parameters = Parameters::load(state);
        let model = Model::new(&mut parameters, &settings.model)?;
        let seed = parameters.seed()?;
        let batches = Batches::new(training, settings.batch);

        let steps_an_epoch = batches.clone().of_worker(task).len();
        let steps = settings.epochs * steps_an_epoch;
        let schedule = Schedule::cosine(settings.learning_rate, steps).warmup(steps_an_epoch);
        let mut optimiser = AdamW::new(&mut parameters, schedule)?.weight_decay(settings.weight_decay);

        for epoch in task.share_of(settings.epochs) {
            let mut average = Average::new();
            for rows in &batches.clone().shuffled(seed, epoch).of_worker(task) {
                let (pixels, labels) = images.batch(rows)?;
                let logits = model.forward(&pixels, Mode::Train { step: optimiser.steps() });
                let loss = losses::cross_entropy(&logits, &labels);
                average.push(&optimiser.step(&mut parameters, &loss)?)?;
            }
            report::metric("loss", epoch, average.value()?);
            report::metric("validation-accuracy", epoch, accuracy(&model, &images, &held_out)?);
            report::progress(epoch + 1, settings.epochs);
        }
        Ok(parameters.into_state())
    }

    fn evaluate(task: &Task, state: State) -> Result<Metrics> {
        let settings = Settings::read(task)?;
        let images = Images::open()?;
        let model = Model::new(&mut Parameters::load(state), &settings.model)?;
        let held_out = settings.split(&images).held_out;
        if settings.predictions {
            let (pixels, _labels) = images.batch(&held_out)?;
            let classes = model.forward(&pixels, Mode::Evaluate).argmax(1).to_vec_i32();
            for (row, class) in held_out.iter().zip(classes) {
                report::metric("prediction", *row, class);
            }
        }
        Ok(Metrics::from([("accuracy", accuracy(&model, &images, &held_out)?)]))
    }
}

/// The share of these rows that the model gets right.
fn accuracy(model: &Model, images: &Images, rows: &[u32]) -> Result<f64> {
    let (pixels, labels) = images.batch(rows)?;
    let correct = metrics::correct(&model.forward(&pixels, Mode::Evaluate), &labels)?;
    Ok(f64::from(correct.item_i32()) / rows.len().max(1) as f64)
}

anneal_sdk::export_training!(Digits);
