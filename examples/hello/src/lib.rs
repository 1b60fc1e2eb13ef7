//! The smallest job worth reading: a line is fitted to points that the job makes itself.
//!
//! It has no inputs. The points lie on y = 3 x + 1; two numbers are trained, and `evaluate` tells how close
//! they came. `examples/digits` is the next one to read.

use anneal_sdk::prelude::*;

struct Hello;

/// The model: one input, one output, so one weight and one bias.
fn line(parameters: &mut Parameters) -> Result<Linear> {
    Linear::new(parameters, "line", 1, 1)
}

fn optimiser(task: &Task, parameters: &mut Parameters) -> Result<Sgd> {
    let rate = task.parameter("learning-rate", 0.5)?;
    Ok(Sgd::new(parameters, Schedule::constant(rate))?.momentum(0.5))
}

impl Trainer for Hello {
    fn init(task: &Task) -> Result<State> {
        let mut parameters = Parameters::init(task);
        line(&mut parameters)?;
        optimiser(task, &mut parameters)?;
        Ok(parameters.into_state())
    }

    fn train(task: &Task, state: State) -> Result<State> {
        let mut parameters = Parameters::load(state);
        let line = line(&mut parameters)?;
        let mut optimiser = optimiser(task, &mut parameters)?;

        let x = Tensor::iota(&[100, 1]).cast(DType::F32) / 100.0;
        let y = &x * 3.0 + 1.0;

        let steps = task.share_of(task.parameter("steps", 200)?);
        for step in steps {
            let loss = losses::mse(&line.forward(&x), &y);
            let loss = optimiser.step(&mut parameters, &loss)?;
            if step % 20 == 0 {
                report::metric("loss", step, loss.item());
            }
        }
        Ok(parameters.into_state())
    }

    fn evaluate(_task: &Task, state: State) -> Result<Metrics> {
        let line = line(&mut Parameters::load(state))?;
        let slope = line.weight.get().item();
        let intercept = line.bias.get().item();
        Ok(Metrics::from([("slope", slope.into()), ("intercept", intercept.into())]))
    }
}

anneal_sdk::export_training!(Hello);
