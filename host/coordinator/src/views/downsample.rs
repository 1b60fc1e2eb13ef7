//! Curves with fewer points: of each the first, the last, the lowest and the highest are kept, and in between the
//! lowest and highest of each stretch, so that what stands out still does. Pure.

use std::collections::HashMap;

use anneal_job::Metric;

/// At most so many points of all curves together, in their order. Every curve has the same share; where there are more
/// curves than points, the first ones have one each, which is their last.
pub(super) fn downsample(metrics: &[Metric], points: usize) -> Vec<Metric> {
    if metrics.len() <= points {
        return metrics.to_vec();
    }
    let mut curves: Vec<Vec<usize>> = Vec::new();
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    for (at, metric) in metrics.iter().enumerate() {
        let curve = *by_name.entry(&metric.name).or_insert_with(|| {
            curves.push(Vec::new());
            curves.len() - 1
        });
        curves[curve].push(at);
    }
    curves.truncate(points);
    // What short curves do not need, long ones get.
    let (mut left, mut rest) = (points, curves.len());
    curves.sort_by_key(Vec::len);
    let mut kept: Vec<usize> = Vec::with_capacity(points);
    for curve in &curves {
        let share = left / rest;
        let chosen = thin(metrics, curve, share);
        (left, rest) = (left - chosen.len(), rest - 1);
        kept.extend(chosen);
    }
    kept.sort_unstable();
    kept.into_iter().map(|at| metrics[at].clone()).collect()
}

/// At most so many of a curve's places, of which there is one at least.
fn thin(metrics: &[Metric], curve: &[usize], points: usize) -> Vec<usize> {
    if curve.len() <= points {
        return curve.to_vec();
    }
    let (first, last) = (curve[0], curve[curve.len() - 1]);
    if points < 4 {
        return [last, first].into_iter().take(points.min(2)).collect();
    }
    let value = |at: &usize| metrics[*at].value;
    let ends = |stretch: &[usize]| {
        let lowest = stretch.iter().min_by(|one, other| value(one).total_cmp(&value(other)));
        let highest = stretch.iter().max_by(|one, other| value(one).total_cmp(&value(other)));
        [lowest, highest].into_iter().flatten().copied().collect::<Vec<usize>>()
    };
    // The two ends, and two points of each stretch between them.
    let inner = &curve[1..curve.len() - 1];
    let stretches = (points - 2) / 2;
    let bound = |stretch: usize| stretch * inner.len() / stretches;
    let mut chosen = vec![first, last];
    for stretch in 0..stretches {
        chosen.extend(ends(&inner[bound(stretch)..bound(stretch + 1)]));
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn metrics(values: &[(u8, i16)]) -> Vec<Metric> {
        let metric = |(step, (name, value)): (usize, &(u8, i16))| Metric {
            name: format!("metric-{name}"),
            step: step as u64,
            value: f64::from(*value),
        };
        values.iter().enumerate().map(metric).collect()
    }

    proptest! {
        #[test]
        fn few_points_keep_what_a_curve_is_read_for(values in vec((0..5_u8, -99..99_i16), 0..400), points in 0..200_usize) {
            let all = metrics(&values);
            let few = downsample(&all, points);
            prop_assert!(few.len() <= points || few.len() == all.len() && all.len() <= points);
            prop_assert!(few.windows(2).all(|pair| pair[0].step < pair[1].step), "in their order");
            prop_assert!(few.iter().all(|metric| all.contains(metric)));
            let names: std::collections::BTreeSet<&str> = all.iter().map(|metric| metric.name.as_str()).collect();
            for name in &names {
                let of = |metrics: &[Metric]| -> Vec<Metric> {
                    metrics.iter().filter(|metric| metric.name == *name).cloned().collect()
                };
                let (curve, kept) = (of(&all), of(&few));
                if points >= names.len() {
                    prop_assert_eq!(kept.last(), curve.last());
                }
                if points >= 4 * names.len() {
                    prop_assert_eq!(kept.first(), curve.first());
                    let values = |metrics: &[Metric]| metrics.iter().map(|metric| metric.value).collect::<Vec<_>>();
                    let (curve, kept) = (values(&curve), values(&kept));
                    let low = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
                    let high = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    prop_assert_eq!((low(&curve), high(&curve)), (low(&kept), high(&kept)));
                }
            }
        }
    }

    #[test]
    fn sixty_thousand_points_become_few_and_a_spike_stays() {
        let mut values = vec![(0, 1); 60_000];
        values[31_234].1 = 77;
        let few = downsample(&metrics(&values), 64);
        assert!(few.len() <= 64 && few.iter().any(|metric| metric.value == 77.0 && metric.step == 31_234));
    }
}
