"""The accelerators that come with sraccel. They import what any plugin may: `sraccel.plugin`."""
