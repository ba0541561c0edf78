//! Reads amounts of a resource as Kubernetes writes them, such as `900m`, `24Gi` or `1e3`, to compare them. Pure.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.

/// The suffixes, each with the factor that it stands for.
const FACTORS: [(&str, f64); 16] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("", 1.0),
];

/// The amount as a number; none if the text is no amount.
#[must_use]
pub fn amount(text: &str) -> Option<f64> {
    let plain = text.parse::<f64>().ok();
    let with_suffix =
        || FACTORS.iter().find_map(|(suffix, factor)| Some(text.strip_suffix(suffix)?.parse::<f64>().ok()? * factor));
    plain.or_else(with_suffix).filter(|amount| amount.is_finite())
}

/// The amount as people write it: memory and storage in Ki, Mi or Gi, small parts of a CPU in m.
#[must_use]
pub fn written(resource: &str, amount: f64) -> String {
    let sized = resource.contains("memory") || resource.contains("storage") || resource.contains("hugepages");
    let (number, suffix) = if sized {
        let units = [("Gi", 1_073_741_824.0), ("Mi", 1_048_576.0), ("Ki", 1024.0)];
        units.iter().find(|(_, size)| amount >= *size).map_or((amount, ""), |(unit, size)| (amount / size, *unit))
    } else if amount > 0.0 && amount < 10.0 && amount.fract() != 0.0 {
        (amount * 1e3, "m")
    } else {
        (amount, "")
    };
    let text = format!("{number:.1}");
    format!("{}{suffix}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_every_form_are_read_and_written_as_people_do() {
        let cases = [
            ("cpu", "900m", 0.9, "900m"),
            ("cpu", "2", 2.0, "2"),
            ("cpu", "2.5", 2.5, "2500m"),
            ("memory", "24Gi", 25_769_803_776.0, "24Gi"),
            ("memory", "16392572Ki", 16_785_993_728.0, "15.6Gi"),
            ("memory", "128974848", 128_974_848.0, "123Mi"),
            ("memory", "129e6", 129e6, "123Mi"),
            ("ephemeral-storage", "1M", 1e6, "976.6Ki"),
            ("nvidia.com/gpu", "8", 8.0, "8"),
            ("pods", "1k", 1000.0, "1000"),
        ];
        for (resource, text, number, again) in cases {
            assert_eq!(amount(text), Some(number), "{text}");
            assert_eq!(written(resource, number), again, "{text}");
        }
        for none in ["", "x", "1Gx", "Gi", "inf", "NaN"] {
            assert_eq!(amount(none), None, "{none}");
        }
    }
}
